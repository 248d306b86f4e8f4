//! A piece of bytes, written as what it does not share with the piece before it.
//!
//! The frames of one answer differ in a few places: a number, a time, a piece of text. What is
//! written is the piece's length and how much it begins with of the one before; then, until the
//! length is reached, bytes of its own, how much of the one before has no place in it, and how much
//! it shares again. Lengths are LEB128. A poor comparison costs room, and is never wrong.

/// A shared run in the middle is worth the lengths that it takes from here on.
const WORTH: usize = 8;

/// Appends `piece`, which follows `before`.
pub fn write(before: &[u8], piece: &[u8], out: &mut Vec<u8>) {
    let start = prefix(before, piece);
    let (old, new) = (behind(before, start), behind(piece, start));
    let end = suffix(old, new);
    let (mut old, mut new) = (but_last(old, end), but_last(new, end));
    write_length(piece.len(), out);
    write_length(start, out);
    // Mostly JSON: where two values differ, the fields behind them may be the same again.
    while let (Some(skip), Some(own)) = (comma(old), comma(new)) {
        let shared = prefix(behind(old, skip), behind(new, own));
        if shared < WORTH {
            break;
        }
        write_gap(but_last(new, new.len() - own), skip, shared, out);
        (old, new) = (behind(old, skip + shared), behind(new, own + shared));
    }
    if !new.is_empty() || end > 0 {
        write_gap(new, old.len(), end, out);
    }
}

fn write_gap(own: &[u8], skip: usize, shared: usize, out: &mut Vec<u8>) {
    write_length(own.len(), out);
    out.extend_from_slice(own);
    write_length(skip, out);
    write_length(shared, out);
}

/// Reads the first piece of what was written, which follows `before`, to the end of `piece`. Gives
/// what was written behind it; nothing where it was not written by [`write`].
pub fn read<'w>(written: &'w [u8], before: &[u8], piece: &mut Vec<u8>) -> Option<&'w [u8]> {
    let (length, mut rest) = read_length(written)?;
    let (end, mut at) = (piece.len() + length, 0);
    loop {
        let (shared, behind) = read_length(rest)?;
        piece.extend_from_slice(before.get(at..at + shared)?);
        at += shared;
        if piece.len() >= end {
            return Some(behind);
        }
        let (own, behind) = read_length(behind)?;
        let (own, behind) = behind.split_at_checked(own)?;
        piece.extend_from_slice(own);
        let (skip, behind) = read_length(behind)?;
        at += skip;
        rest = behind;
    }
}

/// The length of the first piece of what was written, and what was written behind it.
pub fn skip(written: &[u8]) -> Option<(usize, &[u8])> {
    let (length, mut rest) = read_length(written)?;
    let mut seen = 0;
    loop {
        let (shared, behind) = read_length(rest)?;
        seen += shared;
        if seen >= length {
            return Some((length, behind));
        }
        let (own, behind) = read_length(behind)?;
        seen += own;
        (_, rest) = read_length(behind.get(own..)?)?;
    }
}

fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length > 0x7f {
        out.push(low_bits(length) | 0x80);
        length >>= 7;
    }
    out.push(low_bits(length));
}

fn read_length(written: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (at, byte) in written.iter().enumerate() {
        length |= usize::from(byte & 0x7f).checked_shl(u32::try_from(7 * at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((length, behind(written, at + 1)));
        }
    }
    None
}

fn low_bits(length: usize) -> u8 {
    length.to_le_bytes()[0] & 0x7f
}

/// How many bytes both begin with.
fn prefix(one: &[u8], other: &[u8]) -> usize {
    let ((words, _), (others, _)) = (one.as_chunks(), other.as_chunks());
    let differ = words.iter().zip(others).map(|(a, b)| word(*a) ^ word(*b));
    for (at, bits) in differ.enumerate() {
        if bits != 0 {
            return WORD * at + bits.trailing_zeros() as usize / 8;
        }
    }
    // One of them has no more words.
    let alike = WORD * words.len().min(others.len());
    let pairs = behind(one, alike).iter().zip(behind(other, alike));
    alike + pairs.take(WORD).take_while(|(a, b)| a == b).count()
}

/// How many bytes both end with.
fn suffix(one: &[u8], other: &[u8]) -> usize {
    let ((_, words), (_, others)) = (one.as_rchunks(), other.as_rchunks());
    let differ = words.iter().rev().zip(others.iter().rev()).map(|(a, b)| word(*a) ^ word(*b));
    for (at, bits) in differ.enumerate() {
        if bits != 0 {
            return WORD * at + bits.leading_zeros() as usize / 8;
        }
    }
    let alike = WORD * words.len().min(others.len());
    let pairs = but_last(one, alike).iter().rev().zip(but_last(other, alike).iter().rev());
    alike + pairs.take(WORD).take_while(|(a, b)| a == b).count()
}

/// Bytes are compared so many at a time.
const WORD: usize = size_of::<u64>();

fn word(bytes: [u8; WORD]) -> u64 {
    u64::from_le_bytes(bytes)
}

fn comma(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b',')
}

fn behind(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(count..).unwrap_or_default()
}

fn but_last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..bytes.len().saturating_sub(count)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Writes all of them one behind the other, then reads and skips them.
    fn round(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut written = Vec::new();
        let mut before: &[u8] = &[];
        for piece in pieces {
            write(before, piece, &mut written);
            before = piece;
        }
        let (mut rest, mut skipped, mut before) = (&*written, &*written, Vec::new());
        for piece in pieces {
            let mut read_back = Vec::new();
            rest = read(rest, &before, &mut read_back).unwrap();
            assert_eq!(&read_back, piece);
            let (length, behind) = skip(skipped).unwrap();
            assert_eq!((length, behind), (piece.len(), rest));
            (before, skipped) = (read_back, behind);
        }
        assert!(rest.is_empty());
        written
    }

    /// Pieces that share much, and some that share nothing.
    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = "[a,\"]{0,40}";
        let alike = (text, text, 0..3000_u32).prop_map(|(one, other, number)| {
            format!(r#"data: {{"number":{number},"kind":"text.delta","text":"{one}","{other}"}}"#)
        });
        let piece = prop_oneof![
            4 => alike.prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..40),
            1 => vec(b','..=b'-', 0..400),
        ];
        vec(piece, 0..12)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pieces in pieces()) {
            round(&pieces);
        }

        #[test]
        fn what_was_not_written_is_refused_or_read(
            written in vec(any::<u8>(), 0..60),
            before in vec(any::<u8>(), 0..60),
        ) {
            let _ = read(&written, &before, &mut Vec::new());
            let _ = skip(&written);
        }
    }

    #[test]
    fn a_token_costs_its_text_and_a_few_bytes() {
        let event = |number: u32, text: &str| {
            let delta = format!(
                r#"{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"msg_0123456789_0","output_index":0,"content_index":0,"delta":"{text}","logprobs":[]}}"#
            );
            format!("event: response.output_text.delta\ndata: {delta}\n\n").into_bytes()
        };
        let first = round(&[event(98, "one")]).len();
        let both = round(&[event(98, "one"), event(104, " a longer, and other text")]).len();
        assert!(both - first < 25 + 16, "{}", both - first);
    }
}
