//! The arrows between the crates, read from their manifests: they point down, and each is one that `docs/architecture.md` shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What each crate may depend on among ours.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("asyncio-base", &[][..]),
        ("asyncio-macros", &[]),
        ("asyncio-sim", &[]),
        ("asyncio-task", &["asyncio-base"]),
        ("asyncio-timer", &["asyncio-base"]),
        ("asyncio-reactor", &["asyncio-base"]),
        ("asyncio-sync", &["asyncio-base"]),
        ("asyncio-scheduler", &["asyncio-base", "asyncio-task"]),
        ("asyncio-net", &["asyncio-base", "asyncio-reactor"]),
        ("asyncio-process", &["asyncio-base", "asyncio-reactor"]),
        (
            "asyncio",
            &[
                "asyncio-base",
                "asyncio-macros",
                "asyncio-net",
                "asyncio-process",
                "asyncio-reactor",
                "asyncio-scheduler",
                "asyncio-sim",
                "asyncio-sync",
                "asyncio-task",
                "asyncio-timer",
            ],
        ),
    ])
}

/// Our crates among the `[dependencies]` of a manifest; those of tests do not count.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && !section.contains("dev-") {
            let name: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
            if name.starts_with("asyncio") {
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn arrows_point_down() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = Vec::new();
    for folder in fs::read_dir(crates).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "folder {name} holds its crate");
        let allowed = allowed();
        let allowed = allowed.get(&*name).unwrap_or_else(|| panic!("{name} is not on the map"));
        for dependency in dependencies(&manifest) {
            assert!(allowed.contains(&&*dependency), "{name} may not depend on {dependency}");
        }
        seen.push(name);
    }
    assert_eq!(seen.len(), allowed().len(), "every crate of the map is there: {seen:?}");
}

#[test]
fn the_rooms_that_promise_it_forbid_unsafe_code() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["asyncio", "asyncio-timer", "asyncio-net"] {
        let root = fs::read_to_string(crates.join(name).join("src/lib.rs")).unwrap();
        assert!(root.contains("#![forbid(unsafe_code)]"), "{name}");
    }
}
