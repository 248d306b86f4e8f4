//! Watchers that join, read, leave and come back in any order: what each has read is the stream from
//! its beginning, every frame once, or it is told that the rest is gone.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_protocol::Outcome;

use super::*;

const FRAMES: u64 = 500;
const WATCHERS: usize = 10;
/// Room for all of the stream.
const PLENTY: usize = 1 << 20;

#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    /// Joins where it was, reads, or leaves.
    Join(usize),
    Read(usize),
    Leave(usize),
    /// Memory is short.
    Shed(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let watcher = 0..WATCHERS;
    prop_oneof![
        3 => (1..20_usize).prop_map(Step::Publish),
        2 => watcher.clone().prop_map(Step::Join),
        6 => watcher.clone().prop_map(Step::Read),
        1 => watcher.prop_map(Step::Leave),
        1 => (0..400_usize).prop_map(Step::Shed),
    ]
}

fn payload(number: u64) -> Payload {
    Payload::Wire(Bytes::from(format!("frame {number}\n\n")))
}

/// One that counts what it has had.
#[derive(Default)]
struct Watcher {
    key: Option<ReaderKey>,
    had: u64,
    is_done: bool,
    /// What it was to read next was gone.
    has_missed: bool,
}

impl Watcher {
    fn join(&mut self, journal: &mut Journal) {
        if self.key.is_some() || self.is_done {
            return;
        }
        match journal.attach(Part::Client, self.had) {
            Ok(key) => self.key = Some(key),
            Err(NotThere::Evicted { first }) => {
                assert!(first > self.had + 1, "{first} is what it needs");
                self.has_missed = true;
            }
            Err(beyond) => panic!("{beyond}"),
        }
    }

    /// `false` where there was nothing.
    fn read(&mut self, journal: &mut Journal) -> bool {
        let Some(key) = self.key else { return false };
        match journal.read(key) {
            Reading::Nothing => return false,
            Reading::Frames(frames) => self.take(frames),
            Reading::End(closing) => {
                self.take(closing.frames.into());
                assert_eq!(self.had, FRAMES + 1, "the end came early");
                self.is_done = true;
                self.leave(journal);
            }
            Reading::TooSlow => self.leave(journal),
        }
        true
    }

    fn take(&mut self, frames: VecDeque<Frame>) {
        for frame in frames {
            self.had += 1;
            assert_eq!((frame.number, frame.payload), (self.had, payload(self.had)));
        }
    }

    fn leave(&mut self, journal: &mut Journal) {
        if let Some(key) = self.key.take() {
            journal.leave(key);
        }
    }
}

/// Runs the steps, then publishes what is left and lets everybody read to the end.
fn run(steps: Vec<Step>, bounds: Bounds) -> Vec<Watcher> {
    let (mut journal, first) = Journal::new(bounds);
    let mut watchers: Vec<Watcher> = (0..WATCHERS).map(|_| Watcher::default()).collect();
    watchers[0].key = Some(first);
    let publish = |journal: &mut Journal, count: u64| {
        let next = journal.next_number();
        let end = (next + count).min(FRAMES + 1);
        journal.publish((next..end).map(payload));
    };
    for step in steps {
        match step {
            Step::Publish(count) => publish(&mut journal, count as u64),
            Step::Join(at) => watchers[at].join(&mut journal),
            Step::Read(at) => drop(watchers[at].read(&mut journal)),
            Step::Leave(at) => watchers[at].leave(&mut journal),
            Step::Shed(bytes) => journal.shed(bytes),
        }
    }
    publish(&mut journal, FRAMES);
    let frames = vec![Frame { number: FRAMES + 1, payload: payload(FRAMES + 1) }];
    journal.close(Closing { outcome: Outcome::Completed, frames, failure: None, tokens: 0 });
    journal.compact();
    for watcher in &mut watchers {
        // One that was too slow comes back once more.
        for _ in 0..2 {
            watcher.join(&mut journal);
            while watcher.read(&mut journal) {}
        }
    }
    assert_eq!(journal.readers(), 0);
    watchers
}

fn without_shedding(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().filter(|step| !matches!(step, Step::Shed(_))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, max_shrink_iters: 300, ..Default::default() })]

    #[test]
    fn all_is_read_once_by_everybody(steps in vec(step(), 0..200)) {
        let bounds = Bounds { room: 64, lag: 2_000, keep: Some(PLENTY) };
        for watcher in run(without_shedding(steps), bounds) {
            prop_assert!(watcher.is_done && !watcher.has_missed);
        }
    }

    #[test]
    fn what_is_gone_is_told_and_never_passed_over(
        steps in vec(step(), 0..200),
        keep in 0..20_000_usize,
    ) {
        let bounds = Bounds { room: 64, lag: 2_000, keep: Some(keep) };
        for watcher in run(steps, bounds) {
            prop_assert!(watcher.is_done || watcher.has_missed, "{}", watcher.had);
        }
    }
}
