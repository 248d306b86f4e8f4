//! Who reads a journal, where each of them is, and who has fallen too far behind.

/// Names a reader of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderKey(u32);

/// What a reader is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The answer is for it: the fastest of them paces the upstream, and none means that the client
    /// has left.
    Client,
    /// Looks on, and changes nothing of what it sees.
    Observer,
}

#[derive(Debug)]
pub struct Reader {
    key: ReaderKey,
    part: Part,
    /// The number of the frame that it gets next.
    pub next: u64,
    /// The weight of all frames before that one, and before the last that its connection has
    /// written: what it was given counts until it comes back for more.
    given: u64,
    written: u64,
    /// It may be so far behind: a reader that begins with old frames has more to catch up with.
    allowed: u64,
    pub too_slow: bool,
}

impl Reader {
    /// It comes back for more: what it was given is written.
    pub fn has_written(&mut self) {
        self.written = self.given;
    }

    /// It gets so many frames of that weight.
    pub fn is_given(&mut self, count: usize, weight: u64) {
        self.given += weight;
        self.next += count as u64;
    }
}

/// The readers of one journal.
#[derive(Debug, Default)]
pub struct Readers {
    all: Vec<Reader>,
    next_key: u32,
}

impl Readers {
    /// Adds one that begins with the frame of number `next`, before which are frames of the weight
    /// `given`, and which may be so far behind.
    pub fn join(&mut self, part: Part, next: u64, given: u64, allowed: u64) -> ReaderKey {
        let key = ReaderKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        // Mostly there is one.
        self.all.reserve_exact(1);
        self.all.push(Reader { key, part, next, given, written: given, allowed, too_slow: false });
        key
    }

    /// One is gone. `true` where it was the last client.
    pub fn leave(&mut self, key: ReaderKey) -> bool {
        let before = self.clients();
        self.all.retain(|reader| reader.key != key);
        before > 0 && self.clients() == 0
    }

    pub fn find(&mut self, key: ReaderKey) -> Option<&mut Reader> {
        self.all.iter_mut().find(|reader| reader.key == key)
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    #[must_use]
    pub fn clients(&self) -> usize {
        self.all.iter().filter(|reader| reader.part == Part::Client).count()
    }

    /// Whether anybody is read to.
    #[must_use]
    pub fn any(&self) -> bool {
        self.active().next().is_some()
    }

    fn active(&self) -> impl Iterator<Item = &Reader> {
        self.all.iter().filter(|reader| !reader.too_slow)
    }

    /// The weight by which the fastest client and the slowest are behind `published`.
    #[must_use]
    pub fn lags(&self, published: u64) -> Option<(u64, u64)> {
        let clients = self.active().filter(|reader| reader.part == Part::Client);
        let lags = clients.map(|reader| published - reader.written);
        lags.fold(None, |lags, lag| {
            let (least, most) = lags.unwrap_or((lag, lag));
            Some((lag.min(least), lag.max(most)))
        })
    }

    /// The number of the first frame that any of them needs.
    #[must_use]
    pub fn first_needed(&self) -> Option<u64> {
        self.active().map(|reader| reader.next).min()
    }

    /// The same, of those that are behind `published` by no more than `room`.
    #[must_use]
    pub fn first_needed_soon(&self, published: u64, room: u64) -> Option<u64> {
        let near = self.active().filter(|reader| published - reader.written <= room);
        near.map(|reader| reader.next).min()
    }

    /// Those that are too far behind are read to no more, unless all clients are as far behind; so
    /// are those that need what is before `first`, which is gone. Gives how many there are.
    pub fn leave_the_slow(&mut self, published: u64, first: u64) -> usize {
        let least = self.lags(published).map(|(least, _)| least);
        let mut left = 0;
        for reader in self.all.iter_mut().filter(|reader| !reader.too_slow) {
            let behind = published - reader.written;
            let lags = behind > reader.allowed && Some(behind) > least;
            reader.too_slow = lags || reader.next < first;
            left += usize::from(reader.too_slow);
        }
        left
    }
}
