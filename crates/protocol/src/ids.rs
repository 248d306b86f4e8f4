//! The id of a stream: 128 bits, of which 120 are random and 8 name the worker that owns it.
//!
//! The worker is in the id so that a cancel can be routed without a shared table; the random part
//! is what makes an id unguessable.

use std::fmt;
use std::str::FromStr;

/// Identifies one stream for its whole life; written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(u128);

const WORKER_SHIFT: u32 = 120;

impl StreamId {
    /// Builds an id from 120 random bits (the top 8 of `random` are dropped) and a worker index.
    #[must_use]
    pub fn new(worker: u8, random: u128) -> Self {
        let random = random & ((1 << WORKER_SHIFT) - 1);
        Self((u128::from(worker) << WORKER_SHIFT) | random)
    }

    /// The index of the worker whose registry knows this stream.
    #[must_use]
    pub fn worker(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // By hand: it is written several times for every request, and the standard library's way
        // takes ten times as long.
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream id is 32 lower-case hexadecimal digits")]
pub struct InvalidStreamId;

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(InvalidStreamId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidStreamId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_names_its_worker() {
        let id = StreamId::new(7, u128::MAX);
        assert_eq!(id.worker(), 7);
        assert_eq!(id.to_string().parse::<StreamId>(), Ok(id));
    }

    #[test]
    fn only_the_exact_form_is_an_id() {
        let good = StreamId::new(1, 42).to_string();
        for bad in ["", "../etc", &good[1..], &format!("{good}0"), &good.replace('0', "G")] {
            assert_eq!(bad.parse::<StreamId>(), Err(InvalidStreamId), "{bad:?}");
        }
        let upper = StreamId::new(0xab, 0xcdef).to_string().to_uppercase();
        assert_eq!(upper.parse::<StreamId>(), Err(InvalidStreamId));
    }
}
