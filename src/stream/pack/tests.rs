//! Frames of any kind, added, forgotten and read in any order, beside a plain list of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Enough for a dozen blocks.
const LONG: usize = 2_000;

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Payload>),
    Forget(usize),
    Finish,
    /// From a place between the first frame and the end, so many bytes.
    Read(prop::sample::Index, usize),
}

fn payload_of_any_kind() -> impl Strategy<Value = Payload> {
    let text = prop_oneof![9 => "[a-d,]{0,30}", 1 => Just("x".repeat(LONG))];
    let event = |(at, text): (prop::sample::Index, String)| Payload::Event {
        name: *at.get(&EventName::ALL),
        data: format!(r#"{{"model":"m","content":"{text}","done":false}}"#).into(),
    };
    let wire = |text: String| Payload::Wire(format!("data: {text}\n\n").into());
    prop_oneof![
        (any::<prop::sample::Index>(), text.clone()).prop_map(event),
        text.prop_map(wire),
        vec(any::<u8>(), 0..30).prop_map(|bytes| Payload::Wire(bytes.into())),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(payload_of_any_kind(), 0..30).prop_map(Step::Push),
        1 => (0..40_usize).prop_map(Step::Forget),
        1 => Just(Step::Finish),
        4 => (any::<prop::sample::Index>(), 0..3 * LONG).prop_map(|(at, most)| Step::Read(at, most)),
    ]
}

/// The frames that follow a place, up to the one with which they have `most` bytes.
fn expected(frames: &VecDeque<Frame>, number: u64, most: usize) -> VecDeque<Frame> {
    let mut bytes = 0;
    let behind = frames.iter().filter(|frame| frame.number >= number);
    let wanted = behind.take_while(|frame| {
        let is_wanted = bytes < most;
        bytes += frame.payload.len();
        is_wanted
    });
    wanted.cloned().collect()
}

proptest! {
    #[test]
    fn a_pack_is_a_list_of_frames(steps in vec(step(), 0..40)) {
        let (mut pack, mut list, mut next) = (Pack::new(1), VecDeque::new(), 1);
        for step in steps {
            match step {
                Step::Push(payloads) => for payload in payloads {
                    pack.push(&payload);
                    list.push_back(Frame { number: next, payload });
                    next += 1;
                },
                Step::Forget(count) => for _ in 0..count {
                    prop_assert_eq!(pack.forget_first().is_some(), list.pop_front().is_some());
                },
                Step::Finish => pack.finish(),
                Step::Read(at, most) => {
                    let number = next - at.index(list.len() + 1) as u64;
                    let read = expected(&list, number, most);
                    prop_assert_eq!(pack.read(number, most), read);
                    let behind = list.iter().filter(|frame| frame.number >= number);
                    let weight = behind.map(|frame| frame.weight() as u64).sum::<u64>();
                    prop_assert_eq!(pack.weight_from(number), weight);
                }
            }
            prop_assert_eq!((pack.first(), pack.next()), (next - list.len() as u64, next));
            prop_assert_eq!(pack.held() == 0, list.is_empty());
        }
    }
}
