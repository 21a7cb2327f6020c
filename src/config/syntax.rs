//! Mistakes in the syntax, in words for people who do not know TOML by heart.

use toml::de::Error;

use super::problem::Cause;
use super::reader::Sink;
use super::values::{Mistake, quote};

/// Tells all of them.
pub(super) fn tell(sink: &Sink<'_>, text: &str, errors: &[Error]) {
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    // Behind a list that nobody closes, every line is a broken element of it.
    let unclosed = errors.iter().any(|error| error.message().starts_with("unclosed array"));
    let first_broken = |error: &&Error| error.message().starts_with("missing comma");
    let open_list = unclosed.then(|| errors.iter().filter(first_broken).map(start).min()).flatten();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        match open_list {
            Some(at) if span.start > at => {}
            Some(at) if span.start == at => {
                let mistake =
                    Mistake::found("the list before this is not closed").expected("\"]\" at its end");
                sink.tell(Cause::SyntaxOfRest, "", span, mistake);
            }
            Some(_) | None => {
                let spanned = text.get(span.clone()).unwrap_or_default();
                sink.tell(Cause::Syntax, "", span, in_words(error.message(), spanned));
            }
        }
    }
}

fn in_words(message: &str, spanned: &str) -> Mistake {
    if message.starts_with("duplicate key") {
        Mistake::found(format!("{} is there already", quote(spanned))).expected("each key once")
    } else if message.starts_with("string values must be quoted") && spanned.is_empty() {
        Mistake::found("no value")
    } else if message.starts_with("string values must be quoted") || message.starts_with("invalid float") {
        Mistake::found(format!("{spanned} is not quoted")).meant(Some(quote(spanned)))
    } else if message.starts_with("invalid basic string") && spanned.is_empty() {
        Mistake::found("the text before this is not closed").expected("a double quote at its end")
    } else {
        Mistake::found(format!("not TOML: {message}"))
    }
}
