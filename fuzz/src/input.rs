//! What the bytes of a fuzzer mean: how to cut the stream, what to allow, and the stream.

use bytes::Bytes;

const HEAD: usize = 8;
/// More than any stream a fuzzer makes up.
const NO_LIMIT: usize = 1 << 20;

/// A stream with the places where it is cut into reads.
///
/// The head comes first, so that what a fuzzer does to the stream leaves the head alone: flags, the
/// limit (zero for none), three places of two bytes each.
#[derive(Debug)]
pub struct Input<'a> {
    flags: u8,
    /// Of one frame or line.
    pub limit: usize,
    places: [u16; 3],
    pub stream: &'a [u8],
}

impl<'a> Input<'a> {
    /// None for an input that is too short to have a head.
    #[must_use]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (head, stream) = data.split_first_chunk::<HEAD>()?;
        let [flags, limit, ..] = *head;
        let limit = if limit == 0 { NO_LIMIT } else { limit.into() };
        let place = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let places = [place(2), place(4), place(6)];
        Some(Self { flags, limit, places, stream })
    }

    /// The flags above the lowest are the target's own.
    #[must_use]
    pub fn flag(&self, bit: u8) -> bool {
        self.flags >> bit & 1 == 1
    }

    /// The stream in one read.
    #[must_use]
    pub fn whole(&self) -> [Bytes; 1] {
        [Bytes::copy_from_slice(self.stream)]
    }

    /// The stream in reads: of equal length if the lowest flag is set, else cut at the places.
    #[must_use]
    pub fn reads(&self) -> Vec<Bytes> {
        if self.flag(0) {
            let length = 1 + usize::from(self.places[0] % 8);
            return self.stream.chunks(length).map(Bytes::copy_from_slice).collect();
        }
        cut(self.stream, &self.places.map(usize::from))
    }
}

/// Cuts `stream` at `places`, which need not be in order.
#[must_use]
pub fn cut(stream: &[u8], places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<_> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut reads = Vec::with_capacity(places.len() + 1);
    let mut begin = 0;
    for end in places.into_iter().chain([stream.len()]) {
        reads.push(Bytes::copy_from_slice(&stream[begin..end]));
        begin = end;
    }
    reads
}
