//! The queue against what is claimed of it, on any order of events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::access::Party;
use crate::config::{Priority, Weights};

const ANY: Bounds = Bounds { length: 10_000, per_caller: 10_000 };

fn caller(number: usize) -> Party {
    Party::Key(format!("caller-{number}").into())
}

fn line(bounds: Bounds) -> Line<usize> {
    Line::new(Weights::default(), bounds)
}

/// Joins, and must get a place.
fn join(line: &mut Line<usize>, class: Priority, who: usize, item: usize) -> (Ticket, usize) {
    match line.join(class, caller(who), item) {
        Joined::In { ticket, place, pushed_out: None } => (ticket, place),
        other => panic!("no place: {other:?}"),
    }
}

fn drain(line: &mut Line<usize>) -> Vec<usize> {
    std::iter::from_fn(|| line.next()).map(|(_, item)| item).collect()
}

#[test]
fn one_caller_alone_is_served_in_order_of_arrival() {
    let mut line = line(ANY);
    for item in 0..5 {
        assert_eq!(join(&mut line, Priority::Normal, 0, item).1, item + 1);
    }
    assert_eq!(drain(&mut line), [0, 1, 2, 3, 4]);
}

#[test]
fn turns_go_round_the_callers() {
    let mut line = line(ANY);
    for item in 0..3 {
        join(&mut line, Priority::Normal, 0, item);
    }
    for item in 10..13 {
        join(&mut line, Priority::Normal, 1, item);
    }
    join(&mut line, Priority::Normal, 2, 20);
    assert_eq!(drain(&mut line), [0, 10, 20, 1, 11, 2, 12]);
}

/// Whoever has just had a turn lets one pass who comes now; but no more than one.
#[test]
fn a_caller_that_comes_is_before_the_one_just_served_and_its_next_is_behind() {
    let mut line = line(ANY);
    for item in 0..3 {
        join(&mut line, Priority::Normal, 0, item);
    }
    assert_eq!(line.next().map(|(_, item)| item), Some(0));
    join(&mut line, Priority::Normal, 1, 10);
    join(&mut line, Priority::Normal, 2, 20);
    assert_eq!(drain(&mut line), [10, 1, 20, 2]);
}

#[test]
fn classes_share_the_turns_by_weight_in_every_round() {
    let mut line = line(ANY);
    for item in 0..200 {
        for class in Priority::ALL {
            join(&mut line, class, item % 7, class as usize);
        }
    }
    for round in 0..25 {
        let mut served = [0; 3];
        for _ in 0..13 {
            served[line.next().unwrap().1] += 1;
        }
        assert_eq!(served, [1, 4, 8], "round {round}");
    }
}

#[test]
fn a_pause_saves_no_turns_up() {
    let mut line = line(ANY);
    for item in 0..100 {
        join(&mut line, Priority::Low, 0, item);
    }
    for _ in 0..50 {
        line.next();
    }
    // Those above come only now; the lowest has its share from here on, no less and no more.
    for _ in 0..100 {
        join(&mut line, Priority::High, 1, 1000);
    }
    let low = (0..46).filter(|_| line.next().unwrap().1 < 1000).count();
    assert_eq!(low, 5);
}

#[test]
fn what_leaves_frees_its_place_and_is_never_served() {
    let mut line = line(Bounds { length: 4, per_caller: 3 });
    let tickets: Vec<_> = (0..3).map(|item| join(&mut line, Priority::Normal, 0, item).0).collect();
    assert_eq!(line.join(Priority::Normal, caller(0), 9), Joined::TooMany(3));
    assert_eq!(line.leave(&tickets[1]), Some(1));
    assert_eq!(line.leave(&tickets[1]), None);
    line.survey();
    assert_eq!((line.place(&tickets[0]), line.place(&tickets[2])), (Some(1), Some(2)));
    join(&mut line, Priority::Normal, 0, 3);
    assert_eq!(drain(&mut line), [0, 2, 3]);
}

#[test]
fn what_gets_its_turn_back_is_the_next_of_its_class() {
    let mut line = line(ANY);
    for item in 0..4 {
        join(&mut line, Priority::Normal, item, item);
    }
    let (ticket, item) = line.next().unwrap();
    join(&mut line, Priority::High, 9, 90);
    assert_eq!(line.next_above(Priority::Normal).map(|(_, item)| item), Some(90));
    assert!(line.next_above(Priority::Normal).is_none());
    assert_eq!((line.rejoin(&ticket, item), line.place(&ticket)), (1, Some(1)));
    assert_eq!(drain(&mut line), [0, 1, 2, 3]);
}

#[test]
fn a_full_queue_gives_the_place_of_the_last_of_the_lowest_class_to_a_higher_one() {
    let mut line = line(Bounds { length: 4, per_caller: 4 });
    for item in 0..2 {
        join(&mut line, Priority::Low, 0, item);
    }
    for item in 2..4 {
        join(&mut line, Priority::Normal, 0, item);
    }
    let pushed_out = |joined| match joined {
        Joined::In { pushed_out, .. } => pushed_out,
        other => panic!("no place: {other:?}"),
    };
    assert_eq!(pushed_out(line.join(Priority::Normal, caller(1), 4)), Some(1));
    assert_eq!(pushed_out(line.join(Priority::High, caller(1), 5)), Some(0));
    assert_eq!(line.join(Priority::Low, caller(2), 6), Joined::Full);
    assert_eq!(line.len(), 4);
}

#[test]
fn a_turn_that_is_given_back_is_not_paid_for() {
    let mut line = line(ANY);
    for item in 0..40 {
        for class in Priority::ALL {
            join(&mut line, class, item, class as usize);
        }
    }
    let before = (0..13).find_map(|_| line.next().filter(|(_, item)| *item == 0)).unwrap();
    line.rejoin(&before.0, before.1);
    assert!((0..3).any(|_| line.next().unwrap().1 == 0), "not a whole round later");
}

/// Its client would see more than a longer wait.
#[test]
fn what_got_its_turn_back_is_not_pushed_out() {
    let mut line = line(Bounds { length: 2, per_caller: 2 });
    join(&mut line, Priority::Low, 0, 0);
    let (ticket, item) = line.next().unwrap();
    line.rejoin(&ticket, item);
    join(&mut line, Priority::High, 1, 1);
    assert_eq!(line.join(Priority::High, caller(2), 2), Joined::Full);
    assert_eq!(drain(&mut line), [1, 0]);
}

/// The lowest class would starve before the queue else, not in it.
#[test]
fn a_class_keeps_its_share_of_a_full_queue_and_gets_it_back() {
    let mut line = line(Bounds { length: 26, per_caller: 1000 });
    for item in 0..26 {
        join(&mut line, Priority::High, item, 100);
    }
    for item in 0..2 {
        let joined = line.join(Priority::Low, caller(0), item);
        assert!(matches!(joined, Joined::In { pushed_out: Some(100), .. }), "{joined:?}");
    }
    assert_eq!(line.join(Priority::Low, caller(0), 3), Joined::Full);
    assert_eq!(line.join(Priority::High, caller(99), 100), Joined::Full);
    assert_eq!((line.len_of(Priority::Low), line.len_of(Priority::High)), (2, 24));
}

#[test]
fn who_has_the_most_waiting_gives_a_place_of_a_full_queue_to_who_has_less() {
    let mut line = line(Bounds { length: 10, per_caller: 1000 });
    for item in 0..10 {
        join(&mut line, Priority::Normal, 0, item);
    }
    for item in 0..5 {
        let joined = line.join(Priority::Normal, caller(1), 100);
        let expected = 9 - item;
        assert!(
            matches!(joined, Joined::In { pushed_out: Some(out), .. } if out == expected),
            "{joined:?}"
        );
    }
    assert_eq!(line.join(Priority::Normal, caller(1), 100), Joined::Full);
    assert_eq!(line.join(Priority::Normal, caller(0), 100), Joined::Full);
}

#[derive(Debug, Clone)]
enum Step {
    Join {
        class: usize,
        who: usize,
    },
    Leave(usize),
    Next,
    /// The one that was served last gets its turn back.
    Back,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..3usize, 0..6usize).prop_map(|(class, who)| Step::Join { class, who }),
        1 => (0..64usize).prop_map(Step::Leave),
        3 => Just(Step::Next),
        1 => Just(Step::Back),
    ];
    proptest::collection::vec(step, 1..300)
}

/// Those that wait, by their numbers.
type Known = BTreeMap<u64, Ticket>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing is lost or served twice, each caller's requests of a class keep their order, the
    /// bound holds, places told on joining are no better than the true ones, and a survey tells
    /// exactly the order in which all are served.
    #[test]
    fn any_order_of_events_is_survived(steps in steps(), length in 1..40usize) {
        let mut line = line(Bounds { length, per_caller: 20 });
        let (mut known, mut last): (Known, _) = (Known::new(), None);
        let mut joined = 0;
        for step in steps {
            match step {
                Step::Join { class, who } => {
                    let class = Priority::ALL[class];
                    if let Joined::In { ticket, place, pushed_out } = line.join(class, caller(who), joined) {
                        joined += 1;
                        if let Some(out) = pushed_out {
                            known.retain(|_, ticket| items(ticket) != out as u64);
                        }
                        line.survey();
                        prop_assert!(place >= line.place(&ticket).unwrap());
                        prop_assert!(place <= line.len());
                        known.insert(ticket.number, ticket);
                    }
                }
                Step::Leave(which) => {
                    if let Some(number) = known.keys().nth(which).copied() {
                        let ticket = known.remove(&number).unwrap();
                        prop_assert_eq!(line.leave(&ticket).map(|item| item as u64), Some(items(&ticket)));
                    }
                }
                Step::Next => {
                    last = line.next();
                    prop_assert_eq!(last.is_some(), !known.is_empty());
                    if let Some((ticket, item)) = &last {
                        prop_assert_eq!(*item as u64, items(ticket));
                        let same = known.values().filter(|other| {
                            other.caller == ticket.caller && other.class == ticket.class
                        });
                        prop_assert_eq!(same.map(|other| other.number).min(), Some(ticket.number));
                        known.remove(&ticket.number);
                    }
                }
                Step::Back => {
                    if let Some((ticket, item)) = last.take() {
                        let place = line.rejoin(&ticket, item);
                        line.survey();
                        prop_assert!(place >= line.place(&ticket).unwrap());
                        prop_assert!(place <= line.len());
                        known.insert(ticket.number, ticket);
                    }
                }
            }
            prop_assert_eq!(line.len(), known.len());
        }
        line.survey();
        let mut order: Vec<_> =
            known.values().map(|ticket| (line.place(ticket).unwrap(), items(ticket))).collect();
        order.sort_unstable();
        prop_assert!(order.iter().map(|(place, _)| *place).eq(1..=known.len()));
        let drained = drain(&mut line);
        prop_assert!(drained.iter().map(|item| *item as u64).eq(order.iter().map(|(_, item)| *item)));
    }

    /// However the others join: the head of a caller's line waits for no more than one turn of each
    /// caller that was there before it, and the lowest class has a turn in every sixteen.
    #[test]
    fn nobody_waits_for_ever(arrivals in proptest::collection::vec((0..3usize, 0..6usize), 1..400)) {
        let mut line = line(ANY);
        // Of the head of each line: how many turns of its own class it may still have to wait for.
        let mut allowed: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut waiting: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut without_low = 0;
        for (at, (class, who)) in arrivals.iter().copied().enumerate() {
            join(&mut line, Priority::ALL[class], who, class * 6 + who);
            let others = waiting.iter().filter(|((c, w), n)| *c == class && *w != who && **n > 0).count();
            if waiting.get(&(class, who)).is_none_or(|n| *n == 0) {
                allowed.insert((class, who), others);
            }
            *waiting.entry((class, who)).or_default() += 1;
            // Two come for each that is served: the queue grows.
            if at % 2 == 0 {
                continue;
            }
            let low_waits = line.len_of(Priority::Low) > 0;
            let served = line.next().unwrap().1;
            let (class, who) = (served / 6, served % 6);
            without_low = if low_waits && class != 0 { without_low + 1 } else { 0 };
            prop_assert!(without_low < 16, "the lowest class starves");
            for ((c, w), n) in &waiting {
                if *c == class && *w != who && *n > 0 {
                    let left = allowed.get_mut(&(*c, *w)).unwrap();
                    prop_assert!(*left > 0, "caller {w} of class {c} is passed over");
                    *left -= 1;
                }
            }
            *waiting.get_mut(&(class, who)).unwrap() -= 1;
            let others = waiting.iter().filter(|((c, w), n)| *c == class && *w != who && **n > 0).count();
            // Of those that come now, one may pass the caller just served.
            allowed.insert((class, who), others + 1);
        }
    }
}

/// In these tests an item is the number of its request.
fn items(ticket: &Ticket) -> u64 {
    ticket.number
}
