//! Readers of every kind, one step at a time.

use bytes::Bytes;
use tidegate_protocol::{EventName, Outcome};

use super::*;

fn payload(text: &'static str) -> Payload {
    Payload::Wire(Bytes::from_static(text.as_bytes()))
}

/// What a payload of so many bytes weighs.
fn weight_of(bytes: usize) -> usize {
    Frame::weight_of(bytes)
}

fn kept(keep: usize) -> (Journal, ReaderKey) {
    Journal::new(Bounds { room: 100, lag: 3 * weight_of(1), keep: Some(keep) })
}

fn numbers(reading: Reading) -> Vec<u64> {
    match reading {
        Reading::Frames(frames) => frames.iter().map(|frame| frame.number).collect(),
        other => panic!("{other:?}"),
    }
}

fn the_end(number: u64) -> Closing {
    let frames = vec![Frame { number, payload: payload("end") }];
    Closing { outcome: Outcome::Completed, frames, failure: None, tokens: 2 }
}

#[test]
fn frames_come_numbered_in_order_and_the_end_last() {
    for keep in [None, Some(10_000)] {
        let (mut journal, key) = Journal::new(Bounds { room: 1, lag: 1, keep });
        assert_eq!(journal.read(key), Reading::Nothing);
        journal.publish([payload("a"), payload("b")]);
        journal.close(the_end(journal.next_number()));
        assert_eq!(numbers(journal.read(key)), [1, 2]);
        assert_eq!(journal.read(key), Reading::End(the_end(3)));
    }
}

#[test]
fn who_comes_later_reads_from_any_place_and_sees_the_same() {
    let (mut journal, first) = kept(10_000);
    journal.publish([payload("a"), payload("b")]);
    assert_eq!(numbers(journal.read(first)), [1, 2]);
    let second = journal.attach(Part::Client, 0).unwrap();
    let third = journal.attach(Part::Client, 1).unwrap();
    journal.publish([payload("c")]);
    assert_eq!(numbers(journal.read(second)), [1, 2, 3]);
    assert_eq!(numbers(journal.read(third)), [2, 3]);
    assert_eq!(numbers(journal.read(first)), [3]);
    journal.close(the_end(4));
    let fourth = journal.attach(Part::Client, 3).unwrap();
    for key in [first, second, third, fourth] {
        assert_eq!(journal.read(key), Reading::End(the_end(4)));
    }
    let fifth = journal.attach(Part::Client, 4).unwrap();
    let Reading::End(rest) = journal.read(fifth) else { panic!() };
    assert!(rest.frames.is_empty());
    assert_eq!(journal.attach(Part::Client, 5), Err(NotThere::Beyond { last: 4 }));
}

#[test]
fn the_oldest_frames_go_and_nobody_reads_across_the_gap() {
    let (mut journal, first) = kept(2 * weight_of(1));
    journal.publish([payload("a"), payload("b"), payload("c")]);
    assert_eq!(journal.held(), 2 * weight_of(1));
    assert_eq!(journal.attach(Part::Client, 0), Err(NotThere::Evicted { first: 2 }));
    assert_eq!(journal.read(first), Reading::TooSlow, "it has missed the first");
    let late = journal.attach(Part::Client, 1).unwrap();
    assert_eq!(numbers(journal.read(late)), [2, 3]);
}

#[test]
fn the_fastest_reader_has_the_upstream_go_on_and_the_slowest_is_left() {
    let (mut journal, fast) = kept(10_000);
    let slow = journal.attach(Part::Client, 0).unwrap();
    for _ in 0..3 {
        assert_eq!(journal.publish([payload("x")]), 0);
        assert!(matches!(journal.read(fast), Reading::Frames(_)));
        assert_eq!(journal.read(fast), Reading::Nothing);
    }
    assert!(journal.has_room(), "nobody waits for the slow one");
    assert_eq!(journal.unread(), 3 * weight_of(1));
    assert_eq!(journal.publish([payload("y")]), 1);
    assert_eq!(journal.read(slow), Reading::TooSlow);
    assert_eq!(numbers(journal.read(fast)), [4]);
}

#[test]
fn who_observes_changes_nothing() {
    let (mut journal, client) = kept(10_000);
    let observer = journal.attach(Part::Observer, 0).unwrap();
    assert_eq!((journal.readers(), journal.clients()), (2, 1));
    for number in 1..=4 {
        assert_eq!(journal.publish([payload("x")]), 0, "the client is not behind anybody");
        assert_eq!(numbers(journal.read(observer)), [number]);
        assert_eq!(journal.read(observer), Reading::Nothing);
    }
    assert!(!journal.has_room(), "it is the client who is waited for");
    assert_eq!(journal.unread(), 4 * weight_of(1));
    assert_eq!(numbers(journal.read(client)), [1, 2, 3, 4]);
    assert_eq!(journal.read(client), Reading::Nothing);
    for number in 5..=8 {
        assert_eq!(
            journal.publish([payload("y")]),
            usize::from(number == 8),
            "it waits for nobody"
        );
        assert_eq!(numbers(journal.read(client)), [number]);
        assert_eq!(journal.read(client), Reading::Nothing);
    }
    assert_eq!(journal.read(observer), Reading::TooSlow);
    let observer = journal.attach(Part::Observer, 7).unwrap();
    assert!(journal.leave(client), "the client has left, whoever looks on");
    assert!(journal.has_room() && !journal.leave(observer));
}

#[test]
fn a_reader_that_is_alone_is_waited_for() {
    let (mut journal, key) = kept(10_000);
    journal.publish([payload("a"), payload("b"), payload("c"), payload("d"), payload("e")]);
    assert!(!journal.has_room());
    assert_eq!(numbers(journal.read(key)), [1, 2, 3, 4, 5]);
    assert!(!journal.has_room(), "given, but perhaps not written");
    assert_eq!(journal.read(key), Reading::Nothing);
    assert!(journal.has_room());
}

#[test]
fn one_that_begins_far_behind_may_catch_up() {
    let (mut journal, first) = kept(10_000);
    journal.publish((0..20).map(|_| payload("x")));
    let _ = (journal.read(first), journal.read(first));
    let late = journal.attach(Part::Client, 0).unwrap();
    assert_eq!(journal.publish([payload("y")]), 0, "it is no slower than it was");
    assert_eq!(numbers(journal.read(late)).len(), 21);
}

#[test]
fn what_nobody_reads_is_not_held_unless_it_is_kept() {
    let (mut journal, key) = Journal::new(Bounds { room: 1, lag: 1, keep: None });
    journal.publish([payload("a")]);
    assert_eq!((journal.held(), journal.unread()), (weight_of(1), weight_of(1)));
    assert!(journal.leave(key));
    journal.publish([payload("b")]);
    assert_eq!((journal.held(), journal.unread()), (0, 0));
    assert!(journal.has_room());
    assert_eq!(journal.next_number(), 3);
    let (mut journal, key) = kept(10_000);
    assert!(journal.leave(key));
    assert!(!journal.leave(key), "once");
    journal.publish([payload("a")]);
    let back = journal.attach(Part::Client, 0).unwrap();
    assert_eq!(numbers(journal.read(back)), [1]);
}

#[test]
fn under_pressure_goes_what_everybody_has_read() {
    let (mut journal, first) = kept(10_000);
    journal.publish([payload("a"), payload("b"), payload("c")]);
    let _ = journal.read(first);
    let second = journal.attach(Part::Client, 1).unwrap();
    journal.shed(usize::MAX);
    assert_eq!(journal.attach(Part::Client, 0), Err(NotThere::Evicted { first: 2 }));
    assert_eq!(numbers(journal.read(second)), [2, 3]);
    let held = journal.held();
    journal.shed(1);
    assert!(journal.held() < held);
    assert_eq!(
        journal.attach(Part::Client, 1),
        Err(NotThere::Evicted { first: 3 }),
        "no more than is needed"
    );
    assert!(journal.attach(Part::Client, 2).is_ok());
}

#[test]
fn a_replay_comes_in_pieces() {
    let (mut journal, first) = kept(10_000_000);
    let large: &'static str = "x".repeat(AT_ONCE_BYTES / 2 + 1).leak();
    journal.publish((0..5).map(|_| payload(large)));
    assert_eq!(numbers(journal.read(first)), [1, 2]);
    assert_eq!(numbers(journal.read(first)), [3, 4]);
    assert_eq!(numbers(journal.read(first)), [5]);
}

#[test]
fn who_begins_in_the_middle_is_not_given_what_another_left() {
    let (mut journal, first) = kept(10_000);
    journal.publish([payload("a"), payload("b"), payload("c")]);
    let late = journal.attach(Part::Client, 1).unwrap();
    journal.leave(first);
    assert_eq!(numbers(journal.read(late)), [2, 3]);
    let again = journal.attach(Part::Client, 0).unwrap();
    assert_eq!(numbers(journal.read(again)), [1, 2, 3]);
}

#[test]
fn what_was_read_is_kept_in_little_memory() {
    let (mut journal, key) = kept(1 << 20);
    let event = |number| Payload::Event {
        name: EventName::Chunk,
        data: format!(r#"{{"model":"m","content":"t{number} ","done":false}}"#).into(),
    };
    for number in 0..1000 {
        journal.publish([event(number)]);
        assert_eq!(numbers(journal.read(key)), [number + 1]);
    }
    assert!(journal.held() < 1000 * 16, "{}", journal.held());
    let late = journal.attach(Part::Client, 990).unwrap();
    let Reading::Frames(frames) = journal.read(late) else { panic!() };
    assert_eq!(
        frames.into_iter().map(|it| it.payload).collect::<Vec<_>>(),
        (990..1000).map(event).collect::<Vec<_>>()
    );
}

#[test]
fn packing_changes_nothing_that_is_read() {
    let (mut journal, _) = kept(10_000);
    let event = |data: &str| Payload::Event { name: EventName::Chunk, data: data.into() };
    let payloads = [payload("one"), event("zwei"), payload("three"), event("vier")];
    journal.publish(payloads.clone());
    journal.compact();
    let key = journal.attach(Part::Client, 0).unwrap();
    let Reading::Frames(frames) = journal.read(key) else { panic!() };
    assert_eq!(frames.into_iter().map(|frame| frame.payload).collect::<Vec<_>>(), payloads);
}
