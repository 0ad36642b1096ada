//! The rules of the tree, one table each, and random trees against what must hold of every request.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn message(text: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(text))
}

/// A tree from its outline: each node's name, its kind and the index of its parent.
fn tree(nodes: &[(Kind, Option<usize>)]) -> (Tree, Vec<Key>) {
    let mut tree = Tree::default();
    let mut keys: Vec<Key> = Vec::new();
    for &(kind, parent) in nodes {
        let parent = parent.map(|index: usize| keys[index]);
        keys.push(tree.insert(parent, kind));
    }
    (tree, keys)
}

fn deliver(tree: &mut Tree, origin: Origin, text: &'static str) -> bool {
    let mut effects = Effects::default();
    let delivered = tree.deliver(origin, message(text), &mut effects);
    assert!(effects.restore.is_none());
    delivered
}

fn take(tree: &mut Tree, key: Key) -> Option<String> {
    let (request, effects) = tree.take(key);
    assert!(effects.restore.is_none(), "what was taken does not come back");
    request.and_then(|request| request.message).map(Cow::into_owned)
}

fn remove(tree: &mut Tree, key: Key) -> Effects {
    let remains = tree.remove(key).expect("removed once");
    tree.bury(key, &remains)
}

fn is_quiet(effects: &Effects) -> bool {
    effects.wake.is_empty() && !effects.wake_task && effects.restore.is_none()
}

fn marked(tree: &Tree, keys: &[Key]) -> Vec<usize> {
    let has_mark = |&index: &usize| tree.nodes.get(keys[index]).is_some_and(|n| n.mark.is_some());
    (0..keys.len()).filter(has_mark).collect()
}

use Kind::{Forward, Scope, Shield};

#[test]
fn a_request_marks_the_innermost_and_stops_at_what_holds_back() {
    type Outline = &'static [(Kind, Option<usize>)];
    let table: &[(&str, Outline, &[usize])] = &[
        ("no node", &[], &[]),
        ("one", &[(Scope, None)], &[0]),
        ("a chain", &[(Scope, None), (Scope, Some(0)), (Forward, Some(1))], &[2]),
        (
            "branches",
            &[(Scope, None), (Scope, Some(0)), (Scope, Some(0)), (Scope, None)],
            &[1, 2, 3],
        ),
        ("a shield", &[(Scope, None), (Shield, Some(0)), (Scope, Some(1))], &[1]),
        (
            "beside a shield",
            &[(Scope, None), (Shield, Some(0)), (Scope, Some(1)), (Scope, Some(0))],
            &[1, 3],
        ),
    ];
    for (name, outline, expected) in table {
        let (mut tree, keys) = tree(outline);
        assert_eq!(deliver(&mut tree, Origin::Task, "r"), !expected.is_empty(), "{name}");
        assert_eq!(marked(&tree, &keys), *expected, "{name}");
        assert_eq!(tree.has_requests(), !expected.is_empty(), "{name}");
    }
}

#[test]
fn a_domain_marks_what_is_inside_it_only() {
    let outline = [(Scope, None), (Scope, Some(0)), (Scope, Some(1)), (Scope, Some(0))];
    let (mut tree, keys) = tree(&outline);
    assert!(deliver(&mut tree, Origin::Domain(keys[1]), "deadline"));
    assert_eq!(marked(&tree, &keys), [2]);
    assert!(!deliver(&mut tree, Origin::Domain(keys[3]), "nothing inside"));
}

#[test]
fn rule_1_taking_answers_it_once() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, None)]);
    assert!(deliver(&mut tree, Origin::Task, "r"));
    assert_eq!(take(&mut tree, keys[0]).as_deref(), Some("r"));
    assert_eq!(take(&mut tree, keys[0]), None);
    // Answered by one: the other's mark that ends with its node does not bring it back.
    assert!(remove(&mut tree, keys[1]).restore.is_none());
    assert!(!tree.has_requests());
}

#[test]
fn rule_2_a_request_that_nobody_answered_comes_back() {
    let (mut one, keys) = tree(&[(Scope, None), (Scope, None)]);
    assert!(deliver(&mut one, Origin::Task, "r"));
    assert!(remove(&mut one, keys[0]).restore.is_none(), "another node has a mark");
    assert_eq!(remove(&mut one, keys[1]).restore, Some(message("r")));
    assert!(!one.has_requests());
    // A domain's goes to those who are innermost now, and gives the task a turn.
    let (mut two, keys) = tree(&[(Scope, None), (Scope, Some(0)), (Scope, Some(1))]);
    assert!(deliver(&mut two, Origin::Domain(keys[0]), "deadline"));
    assert!(remove(&mut two, keys[2]).wake_task);
    assert_eq!(marked(&two, &keys), [1]);
    // With nothing left inside, to the domain itself.
    assert!(remove(&mut two, keys[1]).wake_task);
    let (request, _) = two.take(keys[0]);
    assert_eq!(request.unwrap().origin, Origin::Domain(keys[0]));
    // A domain that ends takes its request along.
    let (mut three, keys) = tree(&[(Scope, None), (Scope, Some(0))]);
    assert!(deliver(&mut three, Origin::Domain(keys[0]), "deadline"));
    assert!(is_quiet(&remove(&mut three, keys[0])));
    assert!(is_quiet(&remove(&mut three, keys[1])));
    assert!(!three.has_requests());
}

#[test]
fn rule_3_what_holds_back_hands_on_when_it_ends() {
    let (mut tree, keys) = tree(&[(Scope, None), (Shield, Some(0)), (Scope, Some(1))]);
    assert!(deliver(&mut tree, Origin::Task, "r"));
    assert_eq!(take(&mut tree, keys[2]), None);
    let _ = remove(&mut tree, keys[2]);
    assert_eq!(remove(&mut tree, keys[1]).restore, Some(message("r")));
}

#[test]
fn rule_4_the_one_from_further_out_stays() {
    let outline = [(Scope, None), (Scope, Some(0)), (Scope, Some(1))];
    let origins = |keys: &[Key]| [Origin::Task, Origin::Domain(keys[0]), Origin::Domain(keys[1])];
    for (first, second) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let (mut tree, keys) = tree(&outline);
        let names = ["task", "outer", "inner"];
        for which in [first, second] {
            assert!(deliver(&mut tree, origins(&keys)[which], names[which]));
        }
        let expected = names[first.min(second)];
        assert_eq!(take(&mut tree, keys[2]).as_deref(), Some(expected), "{first} then {second}");
        assert!(!tree.has_requests(), "the other counts as answered");
    }
}

#[test]
fn rule_4_a_branch_that_has_answered_the_first_gets_the_second() {
    // In every order of the branches: one keeps the first request, so the second ends there at once.
    for answered in 0..3 {
        let (mut tree, keys) = tree(&[(Scope, None), (Scope, None), (Scope, None)]);
        assert!(deliver(&mut tree, Origin::Task, "one"));
        assert_eq!(take(&mut tree, keys[answered]).as_deref(), Some("one"));
        assert!(deliver(&mut tree, Origin::Task, "two"));
        for (index, &key) in keys.iter().enumerate() {
            let expected = if index == answered { "two" } else { "one" };
            assert_eq!(take(&mut tree, key).as_deref(), Some(expected));
        }
        assert!(!tree.has_requests());
    }
}

#[test]
fn rule_4_a_node_that_has_passed_one_on_passes_the_next_on() {
    let (mut tree, keys) = tree(&[(Scope, None), (Forward, Some(0))]);
    assert!(deliver(&mut tree, Origin::Task, "one"));
    assert_eq!(tree.begin_forward(keys[1]), Some(message("one")));
    assert_eq!(tree.begin_forward(keys[1]), None, "once each");
    assert!(deliver(&mut tree, Origin::Task, "two"));
    assert_eq!(tree.begin_forward(keys[1]), Some(message("two")));
    let (request, effects) = tree.end_forward(keys[1]);
    assert_eq!(request.unwrap().message, message("two"));
    assert!(is_quiet(&effects) && !tree.has_requests());
}

#[test]
fn rule_5_what_is_raised_waits_for_what_is_busy_below() {
    let outline = [(Scope, None), (Scope, Some(0)), (Shield, Some(0)), (Forward, Some(0))];
    let (mut tree, keys) = tree(&outline);
    let request = Request { origin: Origin::Task, message: message("up") };
    tree.set_busy(keys[3], true);
    let _ = tree.raise_to_parent(keys[1], request);
    assert_eq!(take(&mut tree, keys[0]), None, "a shield and a clean-up below");
    assert!(remove(&mut tree, keys[2]).wake_task, "so that it is looked at again");
    assert_eq!(take(&mut tree, keys[0]), None, "a clean-up below");
    assert!(remove(&mut tree, keys[3]).wake_task);
    assert_eq!(take(&mut tree, keys[0]).as_deref(), Some("up"));
}

#[test]
fn rule_5_at_the_root() {
    let (mut tree, keys) = tree(&[(Scope, None), (Shield, None)]);
    let _ = tree.raise(None, Request { origin: Origin::Task, message: message("up") });
    assert!(tree.take_root().0.is_none());
    assert!(remove(&mut tree, keys[1]).wake_task);
    assert_eq!(tree.take_root().0.unwrap().message, message("up"));
    assert!(!tree.has_requests());
    // Nobody waits: a shield that ends wakes nobody.
    let _ = remove(&mut tree, keys[0]);
    let shield = tree.insert(None, Shield);
    assert!(is_quiet(&remove(&mut tree, shield)));
}

#[test]
fn rule_7_the_outermost_of_those_that_struck_overrules_those_inside_it_then() {
    // Three in each other, another one beside the innermost.
    let outline = [(Scope, None), (Scope, Some(0)), (Scope, Some(1)), (Scope, Some(1))];
    let (mut tree, keys) = tree(&outline);
    let by = |tree: &Tree, index: usize| {
        let by = tree.overruled_by(keys[index]);
        by.map(|by| keys.iter().position(|&key| key == by).unwrap())
    };
    let all = |tree: &Tree| [0, 1, 2, 3].map(|index| by(tree, index));
    tree.overrule(keys[2]);
    assert_eq!(all(&tree), [None; 4]);
    tree.overrule(keys[1]);
    assert_eq!(all(&tree), [None, None, Some(1), Some(1)]);
    tree.overrule(keys[0]);
    assert_eq!(all(&tree), [None, Some(0), Some(0), Some(0)]);
    // The one from further out stays, and who comes later is overruled by nobody.
    tree.overrule(keys[1]);
    assert_eq!(by(&tree, 2), Some(0));
    let late = tree.insert(Some(keys[2]), Scope);
    assert_eq!(tree.overruled_by(late), None);
    // One that has ended overrules no more.
    let _ = remove(&mut tree, keys[0]);
    assert_eq!(by(&tree, 2), None);
}

#[test]
fn rule_8_a_failed_group_has_the_outermost_that_struck_ask_again() {
    let (mut tree, keys) =
        tree(&[(Scope, None), (Scope, Some(0)), (Scope, Some(1)), (Scope, Some(2))]);
    let group = keys[3];
    assert!(is_quiet(&tree.ask_again(group, false)) && !tree.has_requests(), "nobody has asked");
    // Its own strike is no reason.
    tree.overrule(group);
    assert!(is_quiet(&tree.ask_again(group, false)) && !tree.has_requests());
    assert!(is_quiet(&tree.ask_again(group, true)));
    assert_eq!(tree.later.take(), Some(None), "the task asks when it waits next");
    for (striker, asks) in [(2, 2), (0, 0), (1, 0)] {
        tree.overrule(keys[striker]);
        // A group that came later.
        let late = tree.insert(Some(keys[2]), Scope);
        for group in [group, late] {
            assert!(tree.ask_again(group, true).wake_task && tree.later.is_none());
            assert_eq!(
                tree.take(group).0.map(|request| request.origin),
                Some(Origin::Domain(keys[asks]))
            );
        }
        let _ = remove(&mut tree, late);
        drop(tree.take(group));
    }
}

#[test]
fn rule_6_uncancel_takes_back_what_nobody_has_seen() {
    let (mut tree, keys) = tree(&[(Scope, None), (Forward, None)]);
    assert!(deliver(&mut tree, Origin::Task, "r"));
    tree.void();
    assert_eq!(take(&mut tree, keys[0]), None);
    assert_eq!(tree.begin_forward(keys[1]), None);
    assert!(remove(&mut tree, keys[1]).restore.is_none());
    assert!(!tree.has_requests());
    // What was raised goes on, and so does a domain's.
    assert!(deliver(&mut tree, Origin::Task, "seen"));
    let (request, _) = tree.take(keys[0]);
    let _ = tree.raise_to_parent(keys[0], request.unwrap());
    tree.void();
    assert_eq!(tree.take_root().0.unwrap().message, message("seen"));
}

#[test]
fn a_void_mark_gives_way_to_a_new_request() {
    let (mut tree, keys) = tree(&[(Scope, None)]);
    assert!(deliver(&mut tree, Origin::Task, "taken back"));
    tree.void();
    assert!(deliver(&mut tree, Origin::Task, "new"));
    assert_eq!(take(&mut tree, keys[0]).as_deref(), Some("new"));
}

#[test]
fn what_is_given_back_is_as_if_it_had_not_been_taken() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, Some(0))]);
    assert!(deliver(&mut tree, Origin::Task, "r"));
    let request = tree.take(keys[1]).0.unwrap();
    assert_eq!(tree.give_back(request.clone(), false).restore, Some(message("r")));
    assert!(is_quiet(&tree.give_back(request, true)) && tree.has_requests());
    assert_eq!(tree.later.take(), Some(message("r")));
    assert!(deliver(&mut tree, Origin::Domain(keys[0]), "deadline"));
    let request = tree.take(keys[1]).0.unwrap();
    assert!(tree.give_back(request, true).wake_task);
    assert_eq!(take(&mut tree, keys[1]).as_deref(), Some("deadline"));
}

#[test]
fn a_raised_request_of_a_domain_elsewhere_is_the_task_s() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, None)]);
    let request = Request { origin: Origin::Domain(keys[1]), message: None };
    let _ = tree.raise(Some(keys[0]), request);
    assert_eq!(tree.take(keys[0]).0.unwrap().origin, Origin::Task);
}

#[test]
fn a_mark_calls_the_waker_it_finds_once() {
    let (mut tree, keys) = tree(&[(Scope, None)]);
    let _ = tree.set_waker(keys[0], Some(Waker::noop().clone()));
    let mut effects = Effects::default();
    assert!(tree.deliver(Origin::Task, None, &mut effects));
    assert_eq!(effects.wake.len(), 1);
    let mut effects = Effects::default();
    assert!(tree.deliver(Origin::Task, None, &mut effects));
    assert!(effects.wake.is_empty(), "the poll leaves a new one");
}

// ----- random trees

#[derive(Clone, Debug)]
enum Step {
    /// A node below one of those there are, or at the root.
    Insert(usize, Kind),
    /// A request of the task, or of a domain.
    Ask(Option<usize>),
    Take(usize),
    /// What was taken first and not settled goes up from where it was taken, or back.
    Raise,
    GiveBack,
    Swallow,
    Pass(usize),
    EndPass(usize),
    Remove(usize),
    /// A node is polled below another, or outermost.
    Relocate(usize, usize),
    EndTurn,
    TakeRoot,
    Void,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![4 => Just(Scope), 1 => Just(Forward), 1 => Just(Shield)];
    prop_oneof![
        5 => (0..12usize, kind).prop_map(|(at, kind)| Step::Insert(at, kind)),
        4 => proptest::option::weighted(0.4, 0..12usize).prop_map(Step::Ask),
        4 => (0..12usize).prop_map(Step::Take),
        2 => Just(Step::Raise),
        1 => Just(Step::GiveBack),
        1 => Just(Step::Swallow),
        2 => (0..12usize).prop_map(Step::Pass),
        2 => (0..12usize).prop_map(Step::EndPass),
        4 => (0..12usize).prop_map(Step::Remove),
        2 => (0..12usize, 0..12usize).prop_map(|(node, to)| Step::Relocate(node, to)),
        1 => Just(Step::EndTurn),
        1 => Just(Step::TakeRoot),
        1 => Just(Step::Void),
    ]
}

/// What has become of a request, by its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// In the hands of a scope that has taken it.
    Taken,
    Swallowed,
    /// The task was asked again.
    Back,
    /// It has ended the task.
    Ended,
}

#[derive(Default)]
struct World {
    tree: Tree,
    nodes: Vec<Key>,
    fates: BTreeMap<String, (Origin, Fate)>,
    /// Requests that were open when another was made: they may count as answered by it.
    overtaken: Vec<String>,
    void: Vec<String>,
    /// Requests that a node has passed on, with that node: it gets them back also when they are void.
    passed: Vec<(Key, String)>,
    held: Vec<(Key, Request)>,
    made: usize,
}

impl World {
    fn node(&self, index: usize) -> Option<Key> {
        if self.nodes.is_empty() { None } else { Some(self.nodes[index % self.nodes.len()]) }
    }

    fn name(request: &Request) -> String {
        request.message.as_deref().expect("every request has a name").to_owned()
    }

    fn is_open(&self, name: &str) -> bool {
        (0..self.tree.open.positions())
            .filter_map(|index| self.tree.open.at(index))
            .any(|open| open.request.message.as_deref() == Some(name))
    }

    /// Before a request is made or raised: it may meet the others.
    fn overtake(&mut self) {
        let open = self.fates.iter().filter(|(_, (_, fate))| *fate == Fate::Open);
        self.overtaken.extend(open.map(|(name, _)| name.clone()));
    }

    fn apply(&mut self, effects: Effects) {
        if let Some(restored) = effects.restore {
            let name = restored.expect("every request has a name").into_owned();
            let (origin, fate) = self.fates[&name];
            assert_eq!(origin, Origin::Task, "only the task's own comes back to it: {name}");
            assert_eq!(fate, Fate::Open, "{name} came back, but somebody had it");
            assert!(!self.void.contains(&name), "{name} was taken back");
            self.fates.insert(name, (origin, Fate::Back));
        }
    }

    fn take_from(&mut self, key: Key, taken: (Option<Request>, Effects)) {
        let (request, effects) = taken;
        if let Some(request) = request {
            let name = World::name(&request);
            let (origin, fate) = self.fates[&name];
            // Other branches have marks of their own, until the first answer all of them.
            assert!(
                matches!(fate, Fate::Open | Fate::Taken | Fate::Swallowed | Fate::Ended),
                "{name}: {fate:?}"
            );
            let passed = self.passed.contains(&(key, name.clone()));
            let void = self.void.contains(&name) && !passed;
            assert!(!void || fate != Fate::Open, "{name} was taken back");
            self.fates.insert(name, (origin, Fate::Taken));
            self.held.push((key, request));
        }
        self.apply(effects);
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(at, kind) => {
                let parent = self.node(at).filter(|_| at % 3 > 0);
                self.nodes.push(self.tree.insert(parent, kind));
            }
            Step::Ask(domain) => self.ask(domain),
            Step::Take(index) => {
                if let Some(key) = self.node(index) {
                    let taken = self.tree.take(key);
                    self.take_from(key, taken);
                }
            }
            Step::Raise => {
                if !self.held.is_empty() {
                    let (key, request) = self.held.remove(0);
                    self.settle(&request);
                    let parent = self.tree.nodes.get(key).and_then(|node| node.parent);
                    let origin = match request.origin {
                        Origin::Domain(domain) if self.tree.encloses(domain, parent) => {
                            request.origin
                        }
                        _ => Origin::Task,
                    };
                    // A request anew, by a name of its own: the first may have marks elsewhere.
                    let name = self.make(origin);
                    let request = Request { message: Some(Cow::Owned(name)), ..request };
                    let effects = self.tree.raise_to_parent(key, request);
                    self.apply(effects);
                }
            }
            Step::GiveBack => {
                if !self.held.is_empty() {
                    let (_, request) = self.held.remove(0);
                    self.settle(&request);
                    if let Origin::Domain(key) = request.origin {
                        // With its domain it is over.
                        if !self.nodes.contains(&key) {
                            return;
                        }
                    }
                    let name = self.make(request.origin);
                    let message = Some(Cow::Owned(name));
                    let effects = self.tree.give_back(Request { message, ..request }, false);
                    self.apply(effects);
                }
            }
            Step::Swallow => {
                if !self.held.is_empty() {
                    let (_, request) = self.held.remove(0);
                    self.settle(&request);
                }
            }
            Step::Pass(index) => {
                if let Some(key) = self.node(index) {
                    let name = self.tree.begin_forward(key).flatten();
                    self.passed.extend(name.map(|name| (key, name.into_owned())));
                }
            }
            Step::EndPass(index) => {
                if let Some(key) = self.node(index) {
                    let taken = self.tree.end_forward(key);
                    self.take_from(key, taken);
                }
            }
            Step::Remove(index) => {
                if let Some(key) = self.node(index) {
                    self.remove(key);
                }
            }
            Step::Relocate(index, to) => {
                if let Some(key) = self.node(index) {
                    let to = self.node(to).filter(|_| to % 3 > 0);
                    // Whoever polls it is not inside of it.
                    if !self.tree.encloses(key, to) {
                        let effects = self.tree.relocate(key, to);
                        self.apply(effects);
                    }
                }
            }
            Step::EndTurn => {
                let (_, effects) = self.tree.end_turn(false);
                let (left, gone) = self.nodes.iter().partition(|&&node| self.tree.contains(node));
                self.nodes = left;
                self.apply(effects);
                gone.into_iter().for_each(|node| self.forget_requests_of(node));
            }
            Step::TakeRoot => {
                let (request, effects) = self.tree.take_root();
                if let Some(request) = request {
                    let name = World::name(&request);
                    self.fates.insert(name, (request.origin, Fate::Ended));
                }
                self.apply(effects);
            }
            Step::Void => {
                self.tree.void();
                let open = (0..self.tree.open.positions()).filter_map(|i| self.tree.open.at(i));
                let delivered = open.filter(|open| open.epoch.is_some());
                self.void.extend(delivered.map(|open| World::name(&open.request)));
            }
        }
    }

    /// A request that was taken is over.
    fn settle(&mut self, request: &Request) {
        let name = World::name(request);
        let origin = self.fates[&name].0;
        self.fates.insert(name, (origin, Fate::Swallowed));
    }

    /// The name of a new request.
    fn make(&mut self, origin: Origin) -> String {
        self.overtake();
        self.made += 1;
        let name = format!("r{}", self.made);
        if self.tree.has_requests() {
            self.overtaken.push(name.clone());
        }
        // Of a domain that has ended nobody has to hear any more.
        let is_over = matches!(origin, Origin::Domain(domain) if !self.nodes.contains(&domain));
        if is_over {
            self.overtaken.push(name.clone());
        }
        self.fates.insert(name.clone(), (origin, Fate::Open));
        name
    }

    fn ask(&mut self, domain: Option<usize>) {
        let origin = match domain {
            None => Origin::Task,
            Some(index) => match self.node(index) {
                Some(key) => Origin::Domain(key),
                None => return,
            },
        };
        let name = self.make(origin);
        let mut effects = Effects::default();
        let text = || Some(Cow::Owned(name.clone()));
        if !self.tree.deliver(origin, text(), &mut effects) {
            match origin {
                Origin::Task => {
                    self.fates.insert(name, (origin, Fate::Ended));
                }
                Origin::Domain(key) => self.tree.mark_itself(key, text(), &mut effects),
            }
        }
        self.apply(effects);
    }

    fn remove(&mut self, key: Key) {
        self.nodes.retain(|&node| node != key);
        let remains = self.tree.remove(key).expect("there once");
        let effects = self.tree.bury(key, &remains);
        self.apply(effects);
        self.forget_requests_of(key);
    }

    /// A domain's own requests end with it.
    fn forget_requests_of(&mut self, key: Key) {
        for (origin, fate) in self.fates.values_mut() {
            if *origin == Origin::Domain(key) && *fate == Fate::Open {
                *fate = Fate::Swallowed;
            }
        }
    }

    /// Nothing is lost: what is open by our account is open in the tree, unless another request has answered it.
    fn check(&self) {
        for (name, (_, fate)) in &self.fates {
            let excused = self.overtaken.contains(name) || self.void.contains(name);
            if *fate == Fate::Open && !excused {
                assert!(self.is_open(name), "{name} is lost");
            }
        }
        for (_, node) in self.tree.nodes() {
            if let Some(mark) = node.mark {
                assert!(self.tree.open.contains(mark.request), "a mark of no request");
            }
        }
    }

    /// When every node is gone and the root has been asked, nothing is open.
    fn end(mut self) {
        while let Some(&key) = self.nodes.last() {
            self.remove(key);
        }
        self.step(Step::TakeRoot);
        assert!(!self.tree.has_requests(), "a request without a node");
        for (name, (origin, fate)) in &self.fates {
            let excused = self.overtaken.contains(name) || self.void.contains(name);
            let lost = *fate == Fate::Open && *origin == Origin::Task;
            assert!(!lost || excused, "{name} was neither answered nor given back");
        }
    }
}

#[test]
fn rule_9_what_is_not_polled_with_a_request_gives_it_back() {
    let outline = [
        (Scope, None),
        (Forward, Some(0)),
        (Shield, Some(0)),
        (Forward, Some(0)),
        (Scope, Some(0)),
    ];
    let (mut tree, keys) = tree(&outline);
    // The last has a waker of its own.
    let _ = tree.set_waker(keys[4], Some(Waker::noop().clone()));
    let mut effects = Effects::default();
    assert!(tree.deliver_to_task(message("task"), false, &mut effects));
    assert_eq!(marked(&tree, &keys), [1, 2, 3, 4]);
    assert!(tree.begin_forward(keys[3]).is_some());
    tree.note_poll(keys[2]);
    let (left, effects) = tree.end_turn(false);
    assert!(left.is_some() && effects.wake_task, "one has more turns");
    assert_eq!(marked(&tree, &keys), [2, 3, 4]);
    assert!(!tree.contains(keys[1]));
    // One is polled in each turn, what holds back is not; the last has some turns.
    for _ in 0..7 {
        assert!(tree.contains(keys[4]) && effects.wake_task);
        let _ = tree.begin_forward(keys[3]);
        let _ = tree.end_turn(false);
    }
    assert_eq!(marked(&tree, &keys), [3]);
    let (left, effects) = tree.end_turn(false);
    assert!(left.is_some() && !effects.wake_task);
    assert_eq!(effects.restore, Some(message("task")));
    assert!(!tree.has_nodes() || marked(&tree, &keys).is_empty());
}

/// In a pool that polls some of its futures in each turn.
#[test]
fn rule_9_one_with_its_own_waker_is_awaited_while_others_like_it_are_polled() {
    let (mut tree, keys) = tree(&[(Scope, None); 20]);
    for &key in &keys {
        let _ = tree.set_waker(key, Some(Waker::noop().clone()));
    }
    let mut effects = Effects::default();
    assert!(tree.deliver_to_task(message("task"), false, &mut effects));
    assert_eq!(effects.wake.len(), keys.len());
    for &key in &keys {
        for _ in 0..5 {
            assert!(tree.end_turn(false).0.is_none());
        }
        assert_eq!(take(&mut tree, key).as_deref(), Some("task"));
    }
}

#[test]
fn rule_9_what_is_busy_is_asked_whether_it_is_polled() {
    let (mut tree, keys) = tree(&[(Shield, None), (Scope, None)]);
    let is_asked = |tree: &mut Tree| {
        let (left, effects) = tree.end_turn(false);
        assert!(left.is_none() && effects.wake_task != effects.wake.is_empty());
        effects.wake_task
    };
    let polled = |tree: &mut Tree| {
        let _ = tree.set_waker(keys[0], Some(Waker::noop().clone()));
        tree.note_poll(keys[0]);
    };
    polled(&mut tree);
    let raised = Request { origin: Origin::Task, message: message("task") };
    let _ = tree.raise(None, raised);
    assert!(!is_asked(&mut tree), "it was polled in that turn");
    // After 2, 4, 8… turns.
    for round in 1..6 {
        assert!(is_asked(&mut tree));
        polled(&mut tree);
        for _ in 1..1 << round {
            assert!(!is_asked(&mut tree));
        }
    }
    while !is_asked(&mut tree) {}
    let turns = std::iter::repeat_with(|| tree.end_turn(false));
    let turns = turns.take_while(|(left, effects)| left.is_none() && effects.wake_task).count();
    assert_eq!(turns, 7, "the eighth ends it");
    assert!(!tree.contains(keys[0]) && tree.contains(keys[1]));
    assert!(tree.take_root().0.is_some());
}

#[test]
fn rule_9_what_outlives_its_parent_is_below_the_next_one() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, Some(0)), (Scope, Some(1))]);
    assert!(deliver(&mut tree, Origin::Domain(keys[1]), "inner"));
    assert_eq!(marked(&tree, &keys), [2]);
    assert!(is_quiet(&remove(&mut tree, keys[1])));
    assert_eq!(marked(&tree, &keys), [0; 0], "nobody asks any more");
    assert!(deliver(&mut tree, Origin::Domain(keys[0]), "outer"));
    assert_eq!(take(&mut tree, keys[2]).as_deref(), Some("outer"));
}

#[test]
fn rule_9_a_domain_asks_again_when_what_had_its_request_is_elsewhere() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, Some(0)), (Scope, None)]);
    assert!(deliver(&mut tree, Origin::Domain(keys[0]), "over"));
    let effects = tree.relocate(keys[1], Some(keys[2]));
    assert!(effects.wake_task);
    assert_eq!(marked(&tree, &keys), [0]);
    assert!(deliver(&mut tree, Origin::Domain(keys[2]), "here"));
    assert_eq!(take(&mut tree, keys[1]).as_deref(), Some("here"));
}

#[test]
fn what_is_detached_is_not_asked_and_gives_its_request_back() {
    let outline =
        [(Scope, None), (Scope, Some(0)), (Forward, Some(1)), (Shield, Some(1)), (Scope, None)];
    let (mut tree, keys) = tree(&outline);
    assert!(deliver(&mut tree, Origin::Task, "task"));
    assert_eq!(marked(&tree, &keys), [2, 3, 4]);
    let (wakers, effects) = tree.detach_below(keys[1]);
    assert!(wakers.is_empty() && effects.restore.is_none(), "one mark is left");
    assert!(!tree.contains(keys[2]) && !tree.contains(keys[3]) && tree.contains(keys[1]));
    assert_eq!(take(&mut tree, keys[4]).as_deref(), Some("task"));
    // Now the scope is the innermost of its branch, until it is gone too.
    assert!(deliver(&mut tree, Origin::Task, "again"));
    assert_eq!(marked(&tree, &keys), [1, 4]);
    assert!(is_quiet(&remove(&mut tree, keys[4])));
    let (_, effects) = tree.detach_below(keys[0]);
    assert_eq!(effects.restore, Some(message("again")));
    assert!(!deliver(&mut tree, Origin::Domain(keys[0]), "nobody is inside"));
    assert!(!tree.has_requests());
}

#[test]
fn a_domains_request_to_what_is_detached_strikes_the_domain() {
    let (mut tree, keys) = tree(&[(Scope, None), (Scope, Some(0))]);
    assert!(deliver(&mut tree, Origin::Domain(keys[0]), "over"));
    assert_eq!(marked(&tree, &keys), [1]);
    let (_, effects) = tree.detach_below(keys[0]);
    assert!(effects.wake_task);
    assert_eq!(take(&mut tree, keys[0]).as_deref(), Some("over"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_request_is_answered_comes_back_or_its_domain_has_ended(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.end();
    }
}
