//! What of a text may reach a terminal.
//!
//! Terminals obey what they are told: an escape sequence in a model's name or in an answer could
//! move the cursor, retitle the window or put words where the next command is typed.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Stands where something was that must not be shown.
const HIDDEN: char = '\u{fffd}';

/// A name or a message on one line: no control characters, and none that turn the line around.
#[must_use]
pub fn name(text: &str) -> Cow<'_, str> {
    without(text, |c| c.is_control() || turns(c))
}

/// A text of several lines: line feeds and tabs stay, and so does what its script needs to turn.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    without(text, |c| c.is_control() && c != '\n' && c != '\t')
}

/// A name in so many columns: padded, or cut where it is longer.
#[must_use]
pub fn column(text: &str, width: usize) -> String {
    let text = name(text);
    let mut taken = 0;
    let mut shown = String::with_capacity(width);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if taken + wide > width {
            break;
        }
        taken += wide;
        shown.push(c);
    }
    shown.extend(std::iter::repeat_n(' ', width - taken));
    shown
}

/// How many columns a name takes.
#[must_use]
pub fn width(text: &str) -> usize {
    name(text).chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Embeddings, overrides and isolates: they reorder what is written around them.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn without(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().any(&hidden) {
        text.chars().map(|c| if hidden(c) { HIDDEN } else { c }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_is_told_anything() {
        for evil in ["\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{9b}31m", "a\rb", "a\u{8}b", "\u{7f}"] {
            for shown in [name(evil), text(evil), column(evil, 20).into()] {
                assert!(!shown.chars().any(char::is_control), "{shown:?}");
            }
        }
        assert_eq!(name("a\n\u{202e}b"), "a\u{fffd}\u{fffd}b");
        assert_eq!(text("a\n\tb\u{202b}"), "a\n\tb\u{202b}");
        assert!(matches!(name("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_column_is_as_wide_as_it_says() {
        assert_eq!(column("ab", 4), "ab  ");
        assert_eq!(column("abcdef", 4), "abcd");
        // Two columns each: the third would stick out.
        assert_eq!(column("日本語", 5), "日本 ");
        assert_eq!(width("日本語"), 6);
        assert_eq!(column("", 0), "");
    }
}
