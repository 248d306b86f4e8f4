//! The text of a configuration file, where every value knows its line.

use std::ops::Range;
use std::sync::Arc;

use toml_edit::{Document as Toml, TableLike};

use super::fault::{Fault, Problem, Source};

/// A parsed file.
pub(super) struct Document<'t> {
    /// As faults cite it.
    name: Arc<str>,
    toml: Toml<&'t str>,
}

impl<'t> Document<'t> {
    /// Parses a file, or tells the line that is not TOML.
    pub(super) fn parse(name: &str, text: &'t str) -> Result<Self, Fault> {
        let name: Arc<str> = name.into();
        let toml = Toml::parse(text).map_err(|error| {
            let line = line_at(text, error.span().unwrap_or_default());
            Fault {
                key: String::new(),
                found: None,
                source: Source::File { name: Arc::clone(&name), line },
                // Only the message: the error's own display quotes the line, which may hold a
                // secret.
                problem: Problem::Syntax(error.message().to_owned()),
            }
        })?;
        Ok(Self { name, toml })
    }

    /// A file that sets nothing.
    pub(super) fn empty() -> Self {
        Self { name: "".into(), toml: Toml::new() }
    }

    pub(super) fn root(&self) -> &dyn TableLike {
        self.toml.as_table()
    }

    pub(super) fn source(&self, span: Option<Range<usize>>) -> Source {
        let line = line_at(self.toml.raw(), span.unwrap_or_default());
        Source::File { name: Arc::clone(&self.name), line }
    }
}

/// Counted from 1.
fn line_at(text: &str, span: Range<usize>) -> usize {
    let before = text.bytes().take(span.start);
    before.filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let document = Document::parse("f.toml", "\n# é\na = 1\r\n[s]\nb = 2\n").unwrap();
        let line = |table: &dyn TableLike, key: &str| {
            let (key, _) = table.get_key_value(key).unwrap();
            document.source(key.span()).to_string()
        };
        assert_eq!(line(document.root(), "a"), "f.toml:3");
        let section = document.root().get("s").unwrap().as_table_like().unwrap();
        assert_eq!(line(section, "b"), "f.toml:5");
    }

    #[test]
    fn a_syntax_error_tells_its_line_but_not_its_text() {
        let Err(fault) = Document::parse("f.toml", "a = 1\nkey = \"canary\nb = 2\n") else {
            panic!("the string is not closed");
        };
        let text = fault.to_string();
        assert!(text.starts_with("f.toml:2: not valid TOML: "), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
