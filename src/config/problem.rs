//! What is wrong with a configuration: all of it, each mistake with its place.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Everything that is wrong with one configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    text: String,
    list: Vec<Problem>,
}

/// One mistake. Its text is for the operator: what was found, what was expected and the nearest thing
/// that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `routes[2].upstream`; empty where the mistake belongs to no key.
    pub path: String,
    /// Where it stands; `None` where the mistake is not in the text (a file that cannot be read).
    pub place: Option<Place>,
    /// What was found.
    pub found: String,
    /// What was expected, if `found` does not say so already.
    pub expected: Option<String>,
    /// The nearest known name.
    pub nearest: Option<String>,
    pub(super) cause: Cause,
}

/// A place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Counted from 1.
    pub line: usize,
    /// Characters of the line, counted from 1.
    pub column: usize,
}

/// Where a mistake comes from; what follows from a mistake in the syntax is not worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The text is not TOML here.
    Syntax,
    /// The text is not TOML from here on: nobody can tell what the rest of it was meant to be.
    SyntaxOfRest,
    /// Something is not there.
    Missing,
    /// Something that is there is wrong.
    Wrong,
}

/// Whether a rendering uses terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// It does.
    On,
    /// It does not.
    Off,
}

impl Problem {
    /// A mistake that stands nowhere in a text.
    pub(super) fn nowhere(path: &str, found: String, expected: Option<String>) -> Self {
        Problem { path: path.to_owned(), place: None, found, expected, nearest: None, cause: Cause::Wrong }
    }
}

impl fmt::Display for Problem {
    /// `routes[2].upstream: "api.internal" has no port; expected host:port, like "10.0.0.5:8080"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.found)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean {nearest}?")?;
        }
        Ok(())
    }
}

impl Place {
    /// The place of these bytes in `text`; what lies behind its end is at its end.
    pub(super) fn of(span: Range<usize>, text: &str) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            span: start..span.end.clamp(start, text.len()),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

impl Problems {
    /// Sorts the mistakes by their place and drops what only follows from mistakes in the syntax.
    pub(super) fn new(file: &str, text: &str, mut list: Vec<Problem>) -> Self {
        let lines_of = |problem: &Problem| {
            let place = problem.place.as_ref()?;
            let spanned = text.get(place.span.clone()).unwrap_or_default().matches('\n').count();
            Some(place.line..=place.line + spanned)
        };
        let line_of = |problem: &Problem| problem.place.as_ref().map_or(0, |place| place.line);
        list.sort_by_key(|problem| problem.place.as_ref().map_or(usize::MAX, |place| place.span.start));
        let of = |cause| list.iter().filter(move |problem| problem.cause == cause).map(line_of);
        let broken: Vec<usize> = of(Cause::Syntax).collect();
        let rest = of(Cause::SyntaxOfRest).min().unwrap_or(usize::MAX);
        let mut told = 0;
        list.retain(|problem| match problem.cause {
            // One mistake makes the parser stumble several times over a line.
            Cause::Syntax | Cause::SyntaxOfRest => {
                let line = line_of(problem);
                std::mem::replace(&mut told, line) != line
            }
            Cause::Missing => broken.is_empty() && rest == usize::MAX,
            Cause::Wrong => lines_of(problem)
                .is_none_or(|lines| *lines.end() < rest && !broken.iter().any(|line| lines.contains(line))),
        });
        Problems { file: file.to_owned(), text: text.to_owned(), list }
    }

    /// Mistakes that are not in a text, such as those of flags.
    pub(super) fn nowhere(file: &str, problem: Problem) -> Self {
        Problems { file: file.to_owned(), text: String::new(), list: vec![problem] }
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// One line for each mistake: `ifmatch.toml:12:8: routes[2].upstream: ...`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|problem| match &problem.place {
            Some(place) => format!("{}:{}:{}: {problem}", self.file, place.line, place.column),
            None => format!("{}: {problem}", self.file),
        })
    }

    /// For a terminal: each mistake with the line that it stands in.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::On => Renderer::styled(),
            Colour::Off => Renderer::plain(),
        };
        let mut rendered = String::new();
        for problem in &self.list {
            let title = problem.to_string();
            match &problem.place {
                Some(place) => {
                    let snippet = Snippet::source(self.text.as_str())
                        .path(self.file.as_str())
                        .annotation(AnnotationKind::Primary.span(place.span.clone()));
                    rendered.push_str(
                        &renderer.render(&[Level::ERROR.primary_title(title.as_str()).element(snippet)]),
                    );
                }
                None => {
                    let title = format!("{}: {title}", self.file);
                    let group = annotate_snippets::Group::with_title(Level::ERROR.primary_title(title));
                    rendered.push_str(&renderer.render(&[group]));
                }
            }
            rendered.push_str("\n\n");
        }
        rendered
    }
}

impl fmt::Display for Problems {
    /// [`Problems::lines`], one below the other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.lines().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, span: Range<usize>, cause: Cause) -> Problem {
        let place = Some(Place::of(span, text));
        Problem { path: "a".into(), place, found: "x".into(), expected: None, nearest: None, cause }
    }

    #[test]
    fn a_place_counts_characters_and_lines_from_one() {
        let text = "a\nüber = 1\n";
        assert_eq!((Place::of(10..11, text).line, Place::of(10..11, text).column), (2, 8));
        assert_eq!(Place::of(3..4, text).span, 2..4, "inside a character");
        assert_eq!(Place::of(99..100, text).line, 3);
    }

    #[test]
    fn what_follows_from_broken_syntax_is_not_told() {
        let text = "a = \nb = 1\n";
        let told = Problems::new(
            "f",
            text,
            vec![
                problem(text, 5..6, Cause::Wrong),
                problem(text, 0..1, Cause::Wrong),
                problem(text, 4..4, Cause::Syntax),
                problem(text, 3..4, Cause::Syntax),
                problem(text, 5..6, Cause::Missing),
            ],
        );
        assert_eq!(told.lines().collect::<Vec<_>>(), ["f:1:4: a: x", "f:2:1: a: x"]);
    }

    #[test]
    fn a_rendering_shows_the_line() {
        let text = "a = 1\n";
        let told = Problems::new("f.toml", text, vec![problem(text, 4..5, Cause::Wrong)]);
        let rendered = told.render(Colour::Off);
        assert!(rendered.contains("error: a: x") && rendered.contains("1 | a = 1"), "{rendered}");
        assert!(rendered.contains("f.toml:1:5"), "{rendered}");
    }
}
