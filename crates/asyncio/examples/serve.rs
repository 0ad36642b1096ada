//! Serves a directory over HTTP/1.1: `cargo run --release --example serve -- DIR [ADDRESS]`.

mod http;

use asyncio::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(root) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: serve DIR [ADDRESS]    (ADDRESS is 127.0.0.1:8080 unless given)");
        return ExitCode::from(2);
    };
    let address = arguments.next().and_then(|address| address.into_string().ok());
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let served = asyncio::run(async {
        let listener = TcpListener::bind(&*address).await?;
        println!("serving {} on http://{}", root.display(), listener.local_addr()?);
        http::serve(listener, root.clone()).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve {} on {address}: {error}", root.display());
            ExitCode::FAILURE
        }
    }
}
