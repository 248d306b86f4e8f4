//! All requests that wait for one model.

use super::class::Class;
use crate::access::Party;
use crate::config::{Priority, Weights};

/// What a turn costs a class of weight 1. What is paid does not overflow in centuries.
const TURN: u64 = 1 << 20;

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub length: usize,
    pub per_caller: usize,
}

/// Which request it is, and how its turn is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub class: Priority,
    pub caller: Party,
    /// Counts up with each request; with it the order of arrival is told.
    pub number: u64,
}

/// What joining gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<T> {
    /// The request waits. Another may have left for it, which is told so.
    In { ticket: Ticket, place: usize, pushed_out: Option<T> },
    /// The queue is full, and this request is not the one to make room for.
    Full,
    /// So many of the caller's requests wait already.
    TooMany(usize),
}

/// Between classes turns are shared out by stride: each class has paid so much for its turns, a turn
/// costs the less the more weight it has, and the next turn is that of the class which has paid least.
pub struct Line<T> {
    /// Indexed by priority: the lowest first.
    classes: [Class<T>; 3],
    paid: [u64; 3],
    cost: [u64; 3],
    /// How many places of a full queue each class may defend.
    shares: [usize; 3],
    /// What the class that had the last turn had paid before it. A class that comes back from a pause
    /// begins here: no turns are saved up.
    level: u64,
    bounds: Bounds,
    next_number: u64,
}

impl<T> Line<T> {
    pub fn new(weights: Weights, bounds: Bounds) -> Self {
        let mut line = Self {
            classes: [Class::default(), Class::default(), Class::default()],
            paid: [0; 3],
            cost: [0; 3],
            shares: [0; 3],
            level: 0,
            bounds,
            next_number: 0,
        };
        line.set(weights, bounds);
        line
    }

    /// Other weights and bounds. Those that wait already keep their places, though there may be fewer.
    pub fn set(&mut self, weights: Weights, bounds: Bounds) {
        let weights = Priority::ALL.map(|class| weights.of(class));
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let share = |weight| {
            let length = u128::try_from(bounds.length).unwrap_or(0);
            usize::try_from(length * u128::from(weight) / u128::from(sum.max(1))).unwrap_or(0)
        };
        self.cost = weights.map(|weight| TURN / u64::from(weight.max(1)));
        self.shares = weights.map(share);
        self.bounds = bounds;
    }

    pub fn len(&self) -> usize {
        self.classes.iter().map(Class::len).sum()
    }

    pub fn len_of(&self, class: Priority) -> usize {
        self.classes[class as usize].len()
    }

    /// All that wait, in no order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.classes.iter().flat_map(Class::items)
    }

    /// The highest class that anybody waits in.
    pub fn highest(&self) -> Option<Priority> {
        Priority::ALL.into_iter().rev().find(|class| self.len_of(*class) > 0)
    }

    /// A number for a request, whether or not it has to wait.
    pub fn ticket(&mut self, class: Priority, caller: Party) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        Ticket { class, caller, number }
    }

    /// A request wants to wait.
    pub fn join(&mut self, class: Priority, caller: Party, item: T) -> Joined<T> {
        let own: usize = self.classes.iter().map(|class| class.len_of(&caller)).sum();
        let is_full = self.len() >= self.bounds.length;
        if own >= self.bounds.per_caller {
            return if is_full { Joined::Full } else { Joined::TooMany(own) };
        }
        let mut pushed_out = None;
        if is_full {
            let Some(victim) = self.gives_way(class, &caller) else { return Joined::Full };
            pushed_out = self.classes[victim as usize].push_out();
            if pushed_out.is_none() {
                return Joined::Full;
            }
        }
        let ticket = self.ticket(class, caller);
        self.wake(class);
        let place = self.place_behind(class, &ticket.caller);
        self.classes[class as usize].join(&ticket.caller, ticket.number, item, place);
        Joined::In { ticket, place, pushed_out }
    }

    /// The class that gives a place of the full queue to a request: the lowest of those that have
    /// more than their share, if it is lower, or if the request's own class has less than its share.
    /// Else its own class, where a caller gives way to one that has clearly less.
    fn gives_way(&self, class: Priority, caller: &Party) -> Option<Priority> {
        let share = |class: Priority| self.shares[class as usize];
        let own = &self.classes[class as usize];
        let mut all = Priority::ALL.into_iter();
        if let Some(over) = all.find(|other| self.len_of(*other) > share(*other))
            && (over < class || own.len() < share(class))
        {
            return Some(over);
        }
        let (most, _) = own.longest()?;
        (most > own.len_of(caller) + 1).then_some(class)
    }

    /// A request that had its turn gets it back, whatever the bounds: it was in already. Gives its
    /// place, or a worse one.
    pub fn rejoin(&mut self, ticket: &Ticket, item: T) -> usize {
        let class = ticket.class as usize;
        self.paid[class] = self.paid[class].saturating_sub(self.cost[class]);
        self.wake(ticket.class);
        let place = self.place_of(ticket.class, 1);
        self.classes[class].rejoin(&ticket.caller, ticket.number, item, place);
        place
    }

    /// A request waits no longer.
    pub fn leave(&mut self, ticket: &Ticket) -> Option<T> {
        self.classes[ticket.class as usize].leave(&ticket.caller, ticket.number)
    }

    /// The request whose turn it is.
    pub fn next(&mut self) -> Option<(Ticket, T)> {
        let class = cheapest(&self.classes.each_ref().map(Class::len), &self.paid)?;
        self.level = self.paid[class as usize];
        self.serve(class)
    }

    /// The request whose turn it is among those above a class, the highest class first.
    pub fn next_above(&mut self, class: Priority) -> Option<(Ticket, T)> {
        let highest = self.highest().filter(|highest| *highest > class)?;
        self.serve(highest)
    }

    /// The place of a request, as of the last survey, or as it was on joining.
    pub fn place(&self, ticket: &Ticket) -> Option<usize> {
        self.classes[ticket.class as usize].place(&ticket.caller, ticket.number)
    }

    /// Finds out every place, were nobody to come or go. O(n).
    pub fn survey(&self) {
        let order = self.classes.each_ref().map(Class::places);
        let mut paid = self.paid;
        let mut taken = [0; 3];
        for place in 1..=self.len() {
            let left = [0, 1, 2].map(|class| order[class].len() - taken[class]);
            let Some(class) = cheapest(&left, &paid) else { return };
            let class = class as usize;
            order[class][taken[class]].set(place);
            taken[class] += 1;
            paid[class] += self.cost[class];
        }
    }

    fn serve(&mut self, class: Priority) -> Option<(Ticket, T)> {
        let (caller, number, item) = self.classes[class as usize].next()?;
        self.paid[class as usize] += self.cost[class as usize];
        Some((Ticket { class, caller, number }, item))
    }

    fn wake(&mut self, class: Priority) {
        if self.len_of(class) == 0 {
            self.paid[class as usize] = self.paid[class as usize].max(self.level);
        }
    }

    /// The place of one who joins now, or a worse one: exact would cost more than O(1).
    fn place_behind(&self, class: Priority, caller: &Party) -> usize {
        let own = &self.classes[class as usize];
        let round = own.len_of(caller) + 1;
        let others = own.callers() + usize::from(round == 1);
        self.place_of(class, (own.len() + 1).min(others.saturating_mul(round)))
    }

    /// The place of the one that is at a rank of its class.
    fn place_of(&self, class: Priority, rank: usize) -> usize {
        let turns = u64::try_from(rank - 1).unwrap_or(u64::MAX);
        let at = turns.saturating_mul(self.cost[class as usize]) + self.paid[class as usize];
        let before = Priority::ALL.into_iter().filter(|other| *other != class).map(|other| {
            let since = at.checked_sub(self.paid[other as usize]);
            let cost = self.cost[other as usize];
            let turns = since
                .map_or(0, |since| since / cost + u64::from(other > class || since % cost > 0));
            self.len_of(other).min(usize::try_from(turns).unwrap_or(usize::MAX))
        });
        rank + before.sum::<usize>()
    }
}

/// Of the classes that anybody waits in, the one that has paid least; if equal, the highest.
fn cheapest(waiting: &[usize; 3], paid: &[u64; 3]) -> Option<Priority> {
    let all = Priority::ALL.into_iter().rev();
    all.filter(|class| waiting[*class as usize] > 0).min_by_key(|class| paid[*class as usize])
}
