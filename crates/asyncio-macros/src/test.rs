//! `#[asyncio::test]`.

use crate::{Problem, braced, call, path};
use proc_macro::{Delimiter, Ident, Literal, Span, TokenStream, TokenTree};

/// What an option takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    Literal,
}

/// The options, which are methods of the same names of `asyncio::sim::Test`.
const OPTIONS: [(&str, Takes); 6] = [
    ("seeds", Takes::Literal),
    ("workers", Takes::Literal),
    ("strategy", Takes::Literal),
    ("timeout", Takes::Literal),
    ("replay", Takes::Literal),
    ("real", Takes::Nothing),
];

/// `async fn name() -> T { body }` becomes a test of the same name that runs it as often as the options say.
pub(crate) fn rewrite(options: TokenStream, item: TokenStream) -> Result<TokenStream, Problem> {
    let options = read(options)?;
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let here = Span::call_site();
    let is = |word: &'static str| move |token: &TokenTree| matches!(token, TokenTree::Ident(i) if i.to_string() == word);
    let no_async = || Problem::new(here, "`#[asyncio::test]` is for an `async fn`");
    let is_fn = tokens.iter().position(is("fn")).ok_or_else(no_async)?;
    let is_async = tokens[..is_fn].iter().position(is("async")).ok_or_else(no_async)?;
    let name = match tokens.get(is_fn + 1) {
        Some(TokenTree::Ident(name)) => name.clone(),
        other => {
            return Err(Problem::new(other.map_or(here, TokenTree::span), "a test has a name"));
        }
    };
    match tokens.get(is_fn + 2) {
        Some(TokenTree::Group(group)) if group.stream().is_empty() => {}
        other => {
            let span = other.map_or(here, TokenTree::span);
            return Err(Problem::new(span, "a test takes no parameters"));
        }
    }
    let last = tokens.last().cloned();
    if !matches!(&last, Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace) {
        return Err(Problem::new(here, "a test needs a body"));
    }
    // The async function itself, with its return type, goes inside.
    let inner: TokenStream = tokens[is_async..].iter().cloned().collect();
    tokens.truncate(is_fn + 3);
    tokens.remove(is_async);
    let mut test: Vec<TokenTree> = "#[::core::prelude::v1::test]"
        .parse::<TokenStream>()
        .expect("an attribute is valid Rust")
        .into_iter()
        .collect();
    test.append(&mut tokens);
    test.push(TokenTree::Group(braced(call_run(&name, inner, options))));
    Ok(test.into_iter().collect())
}

/// An option, and what it is set to.
type Set = (Ident, Option<Literal>);

fn read(options: TokenStream) -> Result<Vec<Set>, Problem> {
    const UNKNOWN: &str =
        "there are the options seeds, workers, strategy, timeout, replay and real";
    let mut tokens = options.into_iter().peekable();
    let mut read: Vec<Set> = Vec::new();
    while let Some(token) = tokens.next() {
        let TokenTree::Ident(name) = &token else {
            return Err(Problem::new(token.span(), UNKNOWN));
        };
        let text = name.to_string();
        let Some((_, takes)) = OPTIONS.iter().find(|(option, _)| *option == text) else {
            return Err(Problem::new(token.span(), UNKNOWN));
        };
        if read.iter().any(|(before, _)| before.to_string() == text) {
            return Err(Problem::new(token.span(), "this option is set twice"));
        }
        let value = match takes {
            Takes::Nothing => None,
            Takes::Literal => Some(read_value(&token, &mut tokens)?),
        };
        read.push((name.clone(), value));
        match tokens.next() {
            None => break,
            Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {}
            Some(other) => return Err(Problem::new(other.span(), "a comma is expected here")),
        }
    }
    Ok(read)
}

/// `= literal`.
fn read_value(
    option: &TokenTree,
    tokens: &mut impl Iterator<Item = TokenTree>,
) -> Result<Literal, Problem> {
    let problem = |span| Err(Problem::new(span, "this option needs a value: `option = value`"));
    match tokens.next() {
        Some(TokenTree::Punct(equals)) if equals.as_char() == '=' => {}
        other => return problem(other.map_or(option.span(), |token| token.span())),
    }
    match tokens.next() {
        Some(TokenTree::Literal(value)) => Ok(value),
        other => problem(other.map_or(option.span(), |token| token.span())),
    }
}

/// `::asyncio::sim::Test::new(concat!(module_path!(), "::", "name")).option(value).run(|| { async fn… name() })`.
fn call_run(name: &Ident, function: TokenStream, options: Vec<Set>) -> TokenStream {
    let mut tokens: Vec<TokenTree> = path(&["asyncio", "sim", "Test", "new"]);
    let full_name = format!("::core::concat!(::core::module_path!(), \"::{name}\")");
    tokens.push(call(full_name.parse().expect("a macro call is valid Rust")));
    for (option, value) in options {
        // Seconds may be written without a point.
        let is_time = option.to_string() == "timeout";
        let value = value.map(TokenTree::Literal).into_iter();
        let cast: TokenStream = if is_time { "as f64" } else { "" }.parse().expect("a cast");
        method(&mut tokens, option, value.chain(cast).collect());
    }
    let mut closure: Vec<TokenTree> =
        "||".parse::<TokenStream>().expect("bars are tokens").into_iter().collect();
    let body =
        function.into_iter().chain([TokenTree::Ident(name.clone()), call(TokenStream::new())]);
    closure.push(TokenTree::Group(braced(body.collect())));
    method(&mut tokens, Ident::new("run", Span::call_site()), closure.into_iter().collect());
    tokens.into_iter().collect()
}

/// `.name(arguments)`.
fn method(tokens: &mut Vec<TokenTree>, name: Ident, arguments: TokenStream) {
    tokens.push(TokenTree::Punct(proc_macro::Punct::new('.', proc_macro::Spacing::Alone)));
    tokens.push(TokenTree::Ident(name));
    tokens.push(call(arguments));
}
