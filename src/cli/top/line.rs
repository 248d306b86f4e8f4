//! Lines of styled text, cut and padded to so many columns.

use unicode_width::UnicodeWidthChar;

use crate::cli::printable;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    #[default]
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
    Selected,
}

/// A piece of a line. What is in it cannot steer a terminal, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    text: String,
    style: Style,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<Span>);

impl Span {
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }
}

impl Line {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The line with more behind it.
    #[must_use]
    pub fn with(mut self, style: Style, text: impl AsRef<str>) -> Self {
        let text = printable::name(text.as_ref()).into_owned();
        self.0.push(Span { text, style });
        self
    }

    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// All of it in one style, to the last of so many columns.
    #[must_use]
    pub fn across(self, style: Style, width: usize) -> Self {
        let text: String = self.0.iter().map(Span::text).collect();
        Self::new().with(style, printable::column(&text, width))
    }

    /// What of it fits into so many columns.
    #[must_use]
    pub fn fit(mut self, width: usize) -> Self {
        let mut room = width;
        for span in &mut self.0 {
            let fits = |c: &char| {
                let left = room.checked_sub(c.width().unwrap_or(0));
                // Nothing comes behind what did not fit, however narrow it is.
                room = left.unwrap_or(0);
                left.is_some()
            };
            span.text = span.text.chars().take_while(fits).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line) -> String {
        line.spans().iter().map(Span::text).collect()
    }

    #[test]
    fn a_line_ends_where_the_screen_does() {
        let line = Line::new().with(Style::Plain, "ab").with(Style::Bad, "cdef");
        assert_eq!(text(&line.clone().fit(4)), "abcd");
        assert_eq!(text(&line.clone().fit(0)), "");
        let across = line.across(Style::Selected, 8);
        assert_eq!((text(&across).as_str(), across.spans().len()), ("abcdef  ", 1));
        let wide = Line::new().with(Style::Plain, "日本");
        assert_eq!(text(&wide.fit(3)), "日");
    }

    #[test]
    fn nothing_in_a_line_is_obeyed() {
        let line = Line::new().with(Style::Plain, "a\u{1b}[31m\n").across(Style::Plain, 9);
        assert!(!text(&line).chars().any(char::is_control));
    }
}
