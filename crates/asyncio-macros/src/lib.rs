//! The attribute macros of asyncio; use them through `asyncio`.
//!
//! They rewrite so little that the compiler's own token streams are enough: no parser is pulled in.

mod test;

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// Runs an async `main` on a loop.
///
/// ```ignore
/// #[asyncio::main]
/// async fn main() {
///     asyncio::sleep(asyncio::secs(0.1)).await;
/// }
/// ```
///
/// is the same as
///
/// ```ignore
/// fn main() {
///     asyncio::run(async { asyncio::sleep(asyncio::secs(0.1)).await })
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let rewritten = match arguments.into_iter().next() {
        Some(argument) => {
            Err(Problem::new(argument.span(), "`#[asyncio::main]` takes no arguments"))
        }
        None => rewrite(item),
    };
    rewritten.unwrap_or_else(Problem::into_error)
}

/// Makes a test of an `async fn`: it is run in a simulation, in virtual time, in an order that a seed decides.
///
/// ```ignore
/// #[asyncio::test]
/// async fn an_hour_passes() {
///     let begin = asyncio::now();
///     asyncio::sleep(asyncio::secs(3600.0)).await;
///     assert_eq!(asyncio::now() - begin, asyncio::secs(3600.0));
/// }
/// ```
///
/// The test may return a `Result`, whose error fails it. It fails too if nothing can run and main has not ended (a deadlock), if main leaves tasks behind
/// that wait for ever, if an error was left to the exception handler, and if something leaves the simulation. The report names the seed, the step, who waits
/// for whom, and a command that makes the same run again.
///
/// | option | meaning |
/// |---|---|
/// | `seeds = 1000` | so many schedules are tried, from a first one that the name of the test decides; without it that one only. Each fiftieth is run twice and compared, and one that fails is made simpler |
/// | `workers = 2` | how many workers are played: 4 unless this is said |
/// | `strategy = "random"` | how the next task is picked: `"fifo"` is asyncio's own order on one worker, `"random"`, or `"pct(3)"`; the seed decides unless this is said |
/// | `timeout = 60` | the test has failed after so many seconds of virtual time |
/// | `replay = "2f-w4s-3:1"` | one schedule, as a failure has reported it |
/// | `real` | no simulation: the multi-threaded runtime, real time, `workers` and `timeout` as they are |
///
/// `use asyncio::*` makes a plain `#[test]` ambiguous, as the compiler does not choose between a glob import and its prelude: import names, or say
/// `use core::prelude::v1::test;` beside it.
///
/// The variable `ASYNCIO_SEED` names the first seed (in hexadecimal; or a schedule; or `random`), and `ASYNCIO_SEEDS` how many are tried, in all tests.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    test::rewrite(options, item).unwrap_or_else(Problem::into_error)
}

/// What is wrong with the item, and where.
struct Problem {
    span: Span,
    message: &'static str,
}

impl Problem {
    fn new(span: Span, message: &'static str) -> Self {
        Problem { span, message }
    }

    /// `compile_error!` at the place.
    fn into_error(self) -> TokenStream {
        let source = format!("::core::compile_error!({:?});", self.message);
        let tokens: TokenStream = source.parse().expect("a literal in a macro call is valid Rust");
        tokens
            .into_iter()
            .map(|mut token| {
                token.set_span(self.span);
                token
            })
            .collect()
    }
}

/// `async fn name() -> T { body }` becomes `fn name() -> T { ::asyncio::run(async { body }) }`.
fn rewrite(item: TokenStream) -> Result<TokenStream, Problem> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let here = Span::call_site();
    let keyword = |name: &str| {
        let is = |token: &TokenTree| matches!(token, TokenTree::Ident(i) if i.to_string() == name);
        tokens.iter().position(is)
    };
    let no_async = Problem::new(here, "`#[asyncio::main]` is for an `async fn`");
    let (is_async, is_fn) = match (keyword("async"), keyword("fn")) {
        (Some(is_async), Some(is_fn)) if is_async < is_fn => (is_async, is_fn),
        _ => return Err(no_async),
    };
    match tokens.get(is_fn + 2) {
        Some(TokenTree::Group(group)) if group.stream().is_empty() => {}
        other => {
            let span = other.map_or(here, TokenTree::span);
            return Err(Problem::new(span, "the main function takes no parameters"));
        }
    }
    let body = match tokens.pop() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
        _ => return Err(Problem::new(here, "the main function needs a body")),
    };
    tokens.remove(is_async);
    tokens.push(TokenTree::Group(braced(call_run(body))));
    Ok(tokens.into_iter().collect())
}

/// `::asyncio::run(async { body })`.
fn call_run(body: Group) -> TokenStream {
    let span = body.span();
    let block = [TokenTree::Ident(Ident::new("async", Span::call_site())), TokenTree::Group(body)];
    let mut arguments = Group::new(Delimiter::Parenthesis, block.into_iter().collect());
    arguments.set_span(span);
    path(&["asyncio", "run"]).into_iter().chain([TokenTree::Group(arguments)]).collect()
}

/// `::one::two`.
fn path(names: &[&str]) -> Vec<TokenTree> {
    let colon = |spacing| TokenTree::Punct(Punct::new(':', spacing));
    let step = |name: &&str| {
        let name = TokenTree::Ident(Ident::new(name, Span::call_site()));
        [colon(Spacing::Joint), colon(Spacing::Alone), name]
    };
    names.iter().flat_map(step).collect()
}

/// `(arguments)`.
fn call(arguments: TokenStream) -> TokenTree {
    TokenTree::Group(Group::new(Delimiter::Parenthesis, arguments))
}

fn braced(stream: TokenStream) -> Group {
    Group::new(Delimiter::Brace, stream)
}
