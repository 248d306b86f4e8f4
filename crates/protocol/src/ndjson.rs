//! Newline-delimited JSON: an incremental decoder that holds at every split.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;

use crate::error::{ErrorKind, Failure};
use crate::runs::Plain;

/// A line without its end.
#[derive(Debug)]
pub struct Line<'a> {
    pub text: &'a str,
    /// As it was read, but for the LF.
    pub raw: &'a [u8],
    /// Where it stands, line end included, unless it straddled reads.
    pub plain: Option<Plain<'a>>,
}

/// Cuts a body into lines. Takes reads by [`feed`](Self::feed); lends the lines one by one,
/// without their line ends. Blank lines are passed over.
#[derive(Debug)]
pub struct NdjsonDecoder {
    max_line_bytes: usize,
    read: Bytes,
    /// Where in the read the next line begins.
    at: usize,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    /// A line that straddled reads, put together; it is lent from here.
    joined: Vec<u8>,
}

impl NdjsonDecoder {
    /// A line longer than `max_line_bytes`, without its LF, is a failure.
    #[must_use]
    pub fn new(max_line_bytes: usize) -> Self {
        Self { max_line_bytes, read: Bytes::new(), at: 0, carry: Vec::new(), joined: Vec::new() }
    }

    /// Takes the next read. All lines of the one before must have been taken.
    pub fn feed(&mut self, read: Bytes) {
        debug_assert!(self.at >= self.read.len(), "lines of the last read were left behind");
        self.read = read;
        self.at = 0;
    }

    /// Lends the next whole line; none when the read is used up.
    ///
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`] for a line over the limit or invalid UTF-8.
    pub fn next_line(&mut self) -> Result<Option<&str>, Failure> {
        Ok(self.next_placed()?.map(|line| line.text))
    }

    /// As [`next_line`](Self::next_line), with the place of the line in the read.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn next_placed(&mut self) -> Result<Option<Line<'_>>, Failure> {
        loop {
            let begin = self.at;
            let rest = self.read.get(begin..).unwrap_or_default();
            let Some(length) = memchr(b'\n', rest) else {
                self.carry_over()?;
                return Ok(None);
            };
            self.at = begin + length + 1;
            self.check_bound(self.carry.len() + length)?;
            let straddled = !self.carry.is_empty();
            if straddled {
                self.joined.clear();
                self.joined.append(&mut self.carry);
                self.joined.extend_from_slice(self.read.get(begin..begin + length).unwrap_or(&[]));
            }
            let line = if straddled { 0..self.joined.len() } else { begin..begin + length };
            if !is_blank(self.slice(straddled, line.clone())) {
                let place = begin..self.at;
                let plain = (!straddled).then_some(Plain { source: &self.read, range: place });
                let raw = self.slice(straddled, line);
                return Ok(Some(Line { text: text(raw)?, raw, plain }));
            }
        }
    }

    /// The body has ended: lends its last line, if that had no line end. It may have been cut.
    ///
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`] for invalid UTF-8.
    pub fn finish(&mut self) -> Result<Option<&str>, Failure> {
        self.joined = std::mem::take(&mut self.carry);
        if is_blank(&self.joined) { Ok(None) } else { text(&self.joined).map(Some) }
    }

    /// Bytes kept from reads that are used up: at most one line, so never more than the limit.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.carry.len() + self.joined.len()
    }

    /// The read is used up but for the beginning of a line. It may be long until the next one:
    /// only that beginning is kept.
    fn carry_over(&mut self) -> Result<(), Failure> {
        let read = std::mem::take(&mut self.read);
        let begun = read.get(std::mem::take(&mut self.at)..).unwrap_or_default();
        self.joined = Vec::new();
        self.check_bound(self.carry.len() + begun.len())?;
        self.carry.extend_from_slice(begun);
        Ok(())
    }

    fn slice(&self, straddled: bool, range: Range<usize>) -> &[u8] {
        let source: &[u8] = if straddled { &self.joined } else { &self.read };
        source.get(range).unwrap_or_default()
    }

    fn check_bound(&self, size: usize) -> Result<(), Failure> {
        if size <= self.max_line_bytes {
            return Ok(());
        }
        let message = format!("the upstream sent a line longer than {} bytes", self.max_line_bytes);
        Err(Failure::new(ErrorKind::UpstreamProtocol, message))
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn text(line: &[u8]) -> Result<&str, Failure> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line).map_err(|_| {
        Failure::new(ErrorKind::UpstreamProtocol, "the upstream sent bytes that are not UTF-8")
    })
}
