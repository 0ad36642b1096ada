//! The attribute macros of asyncio; use them through `asyncio`.
//!
//! They rewrite so little that the compiler's own token streams are enough: no parser is pulled in.

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
    let ident = |name: &str| TokenTree::Ident(Ident::new(name, Span::call_site()));
    let path = |name: &str| {
        let colon = |spacing| TokenTree::Punct(Punct::new(':', spacing));
        [colon(Spacing::Joint), colon(Spacing::Alone), ident(name)]
    };
    let block: TokenStream = [ident("async"), TokenTree::Group(body)].into_iter().collect();
    let mut arguments = Group::new(Delimiter::Parenthesis, block);
    arguments.set_span(span);
    path("asyncio").into_iter().chain(path("run")).chain([TokenTree::Group(arguments)]).collect()
}

fn braced(stream: TokenStream) -> Group {
    Group::new(Delimiter::Brace, stream)
}
