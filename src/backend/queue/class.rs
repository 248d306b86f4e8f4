//! The requests of one class that wait: turns go round the callers.

use std::cell::Cell;
use std::collections::btree_map::Entry as Seat;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::access::Party;

/// A request that waits.
struct Waiting<T> {
    item: T,
    /// As the last survey found it; 1 is the next.
    place: Cell<usize>,
    /// It had its turn once, and keeps its place whoever comes.
    is_back: bool,
}

/// What one caller has waiting, in order of arrival.
struct Own<T> {
    /// Where in the ring its turn is.
    turn: i64,
    waiting: BTreeMap<u64, Waiting<T>>,
}

/// The callers of one class, and what each has waiting.
pub struct Class<T> {
    callers: HashMap<Party, Own<T>>,
    /// In the order of their turns.
    ring: BTreeMap<i64, Party>,
    /// The same, by how many each has waiting.
    lengths: BTreeSet<(usize, Party)>,
    len: usize,
    /// Where the caller that had the last turn waits for its next. It is the last in the ring.
    served: Option<i64>,
}

impl<T> Default for Class<T> {
    fn default() -> Self {
        Self {
            callers: HashMap::new(),
            ring: BTreeMap::new(),
            lengths: BTreeSet::new(),
            len: 0,
            served: None,
        }
    }
}

impl<T> Class<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn callers(&self) -> usize {
        self.ring.len()
    }

    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.callers.values().flat_map(|own| own.waiting.values()).map(|waiting| &waiting.item)
    }

    /// How many requests of a caller wait here.
    pub fn len_of(&self, caller: &Party) -> usize {
        self.callers.get(caller).map_or(0, |own| own.waiting.len())
    }

    /// The caller with the most waiting, of those whose last request may lose its place, and how
    /// many they are.
    pub fn longest(&self) -> Option<(usize, &Party)> {
        let mut longest = self.lengths.iter().rev();
        let found = longest.find(|(_, caller)| self.last_of(caller).is_some())?;
        Some((found.0, &found.1))
    }

    /// Those that are back are the oldest of their callers.
    fn last_of(&self, caller: &Party) -> Option<u64> {
        let (number, last) = self.callers.get(caller)?.waiting.last_key_value()?;
        (!last.is_back).then_some(*number)
    }

    /// Adds a request behind all that its caller has waiting.
    pub fn join(&mut self, caller: &Party, number: u64, item: T, place: usize) {
        let turn = if self.callers.contains_key(caller) { None } else { Some(self.last_turn()) };
        self.add(caller, turn, number, Waiting { item, place: Cell::new(place), is_back: false });
    }

    /// Gives a request back its turn: the caller is the next, and this is the first of its line.
    pub fn rejoin(&mut self, caller: &Party, number: u64, item: T, place: usize) {
        let first = self.ring.first_key_value().map_or(0, |(turn, _)| turn - 1);
        let waiting = Waiting { item, place: Cell::new(place), is_back: true };
        self.add(caller, Some(first), number, waiting);
    }

    /// Takes the next request out.
    pub fn next(&mut self) -> Option<(Party, u64, T)> {
        let caller = self.ring.first_key_value()?.1.clone();
        let number = *self.callers.get(&caller)?.waiting.first_key_value()?.0;
        let item = self.leave(&caller, number)?;
        self.served = None;
        if self.callers.contains_key(&caller) {
            let turn = self.behind_all();
            self.move_to(&caller, turn);
            self.served = Some(turn);
        }
        Some((caller, number, item))
    }

    /// Takes a request out that does not want its turn any more.
    pub fn leave(&mut self, caller: &Party, number: u64) -> Option<T> {
        let own = self.callers.get_mut(caller)?;
        let taken = own.waiting.remove(&number)?;
        let (left, turn) = (own.waiting.len(), own.turn);
        self.len -= 1;
        self.lengths.remove(&(left + 1, caller.clone()));
        if left > 0 {
            self.lengths.insert((left, caller.clone()));
        } else {
            self.callers.remove(caller);
            self.ring.remove(&turn);
            self.served = self.served.filter(|served| *served != turn);
        }
        Some(taken.item)
    }

    /// Takes out the last request of whoever has the most waiting.
    pub fn push_out(&mut self) -> Option<T> {
        let caller = self.longest()?.1.clone();
        let number = self.last_of(&caller)?;
        self.leave(&caller, number)
    }

    /// The place of a request, as of the last survey.
    pub fn place(&self, caller: &Party, number: u64) -> Option<usize> {
        Some(self.callers.get(caller)?.waiting.get(&number)?.place.get())
    }

    /// The places of all requests, in the order in which they get their turns.
    pub fn places(&self) -> Vec<&Cell<usize>> {
        let own = self.ring.values().filter_map(|caller| self.callers.get(caller));
        let mut lines: Vec<_> = own.map(|own| own.waiting.values()).collect();
        let mut places = Vec::with_capacity(self.len);
        while !lines.is_empty() {
            lines.retain_mut(|line| line.next().map(|next| places.push(&next.place)).is_some());
        }
        places
    }

    fn add(&mut self, caller: &Party, turn: Option<i64>, number: u64, waiting: Waiting<T>) {
        let fresh = || Own { turn: turn.unwrap_or(0), waiting: BTreeMap::new() };
        let own = self.callers.entry(caller.clone()).or_insert_with(fresh);
        let Seat::Vacant(seat) = own.waiting.entry(number) else { return };
        seat.insert(waiting);
        let len = own.waiting.len();
        self.len += 1;
        self.lengths.remove(&(len - 1, caller.clone()));
        self.lengths.insert((len, caller.clone()));
        if let Some(turn) = turn {
            self.move_to(caller, turn);
        }
    }

    fn move_to(&mut self, caller: &Party, turn: i64) {
        let Some(own) = self.callers.get_mut(caller) else { return };
        let before = std::mem::replace(&mut own.turn, turn);
        if self.ring.get(&before) == Some(caller) {
            self.ring.remove(&before);
            self.served = self.served.filter(|served| *served != before);
        }
        self.ring.insert(turn, caller.clone());
    }

    fn behind_all(&self) -> i64 {
        self.ring.last_key_value().map_or(0, |(turn, _)| turn + 1)
    }

    /// The turn of a caller that comes now: behind all others, but before the one that has just had
    /// its turn. Only one goes before it, or it would wait for ever where new callers keep coming.
    fn last_turn(&mut self) -> i64 {
        let behind = self.behind_all();
        let Some(turn) = self.served.take() else { return behind };
        let Some(last) = self.ring.get(&turn).cloned() else { return behind };
        self.move_to(&last, behind);
        turn
    }
}
