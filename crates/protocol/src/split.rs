//! Wire bytes that hold whole frames, cut into single ones, so that each can have a number.

use bytes::Bytes;
use memchr::memchr_iter;

/// What a frame of a wire format is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: a blank line ends one.
    Events,
    /// A JSON document a line.
    Lines,
}

impl Framing {
    /// The frames, each with its end. What has none is the last.
    #[must_use]
    pub fn split(self, wire: Bytes) -> Split {
        Split { framing: self, rest: wire }
    }

    fn first_end(self, wire: &[u8]) -> Option<usize> {
        let is_end = |newline: &usize| {
            self == Self::Lines || is_blank(wire.get(..*newline).unwrap_or_default())
        };
        memchr_iter(b'\n', wire).find(is_end).map(|newline| newline + 1)
    }
}

/// See [`Framing::split`].
#[derive(Debug)]
pub struct Split {
    framing: Framing,
    rest: Bytes,
}

impl Iterator for Split {
    type Item = Bytes;

    /// Mostly there is one: it stays as it is.
    fn next(&mut self) -> Option<Bytes> {
        match self.framing.first_end(&self.rest) {
            Some(end) if end < self.rest.len() => Some(self.rest.split_to(end)),
            _ => Some(std::mem::take(&mut self.rest)).filter(|frame| !frame.is_empty()),
        }
    }
}

/// Whether a newline behind these bytes would end a blank line: they end with a line's end.
fn is_blank(before: &[u8]) -> bool {
    before.ends_with(b"\n") || before.ends_with(b"\n\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(framing: Framing, wire: &'static [u8]) -> Vec<Bytes> {
        framing.split(Bytes::from_static(wire)).collect()
    }

    #[test]
    fn events_end_with_a_blank_line_however_lines_end() {
        let wire = b"data: a\n\nevent: b\ndata: b\n\r\ndata: c\r\n\r\ndata: d\ndata: e\n\ndata: f";
        assert_eq!(
            split(Framing::Events, wire),
            [
                &b"data: a\n\n"[..],
                b"event: b\ndata: b\n\r\n",
                b"data: c\r\n\r\n",
                b"data: d\ndata: e\n\n",
                b"data: f"
            ]
        );
        assert!(split(Framing::Events, b"").is_empty());
    }

    #[test]
    fn lines_end_with_a_newline() {
        assert_eq!(split(Framing::Lines, b"{}\n{\"a\":1}\n"), [&b"{}\n"[..], b"{\"a\":1}\n"]);
    }

    #[test]
    fn nothing_is_lost() {
        let wire = Bytes::from_static(b"\n\n\n: c\n\ndata\r\r\n\n\r\n\nx\n");
        for framing in [Framing::Events, Framing::Lines] {
            assert_eq!(framing.split(wire.clone()).collect::<Vec<_>>().concat(), wire);
        }
    }
}
