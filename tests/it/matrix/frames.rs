//! Faults between two frames of an answer that goes on behind them, at every index.

use tidegate_protocol::ErrorKind;

use super::answer::{Frame, Wire};
use super::plan::{Expect, Plan};
use super::reply::{Case, Framing, Reply, Stop, Told};
use crate::upstream::Step;

/// The longest frame the models of the matrix take.
pub const MAX_LINE_BYTES: usize = 2048;
/// The longest answer that is collected.
pub const MAX_ANSWER_BYTES: usize = 65536;

/// Models with short time limits, by what the name has behind the provider's.
pub const SLOW: &str = "-slow";

/// What stands where a frame should.
struct Odd {
    fault: &'static str,
    frame: fn(Wire) -> Vec<u8>,
    kind: ErrorKind,
}

const ODD: [Odd; 8] = [
    Odd {
        fault: "error object in a 200",
        frame: |wire| wire.frame(br#"{"error":{"message":"out of memory","code":500}}"#),
        kind: ErrorKind::UpstreamError,
    },
    Odd {
        fault: "error object in a 200",
        frame: |wire| wire.frame(br#"{"error":"unexpected EOF"}"#),
        kind: ErrorKind::UpstreamError,
    },
    Odd {
        fault: "error event in a 200",
        frame: |wire| match wire {
            Wire::Sse => b"event: error\ndata: {\"message\":\"gone\"}\n\n".to_vec(),
            _ => wire.frame(br#"{"error":{"message":"gone"}}"#),
        },
        kind: ErrorKind::UpstreamError,
    },
    Odd {
        fault: "garbage frame",
        frame: |wire| match wire {
            // Cut short it would be a truncated document.
            Wire::Json => br#"{"choices":[}"#.to_vec(),
            _ => wire.frame(br#"{"choices":[{"#),
        },
        kind: ErrorKind::UpstreamProtocol,
    },
    Odd {
        fault: "garbage frame",
        frame: |wire| wire.frame(br#"{"choices":7,"message":"no object"}"#),
        kind: ErrorKind::UpstreamProtocol,
    },
    Odd {
        fault: "invalid UTF-8",
        frame: |wire| wire.frame(b"{\"choices\":[],\"message\":{\"content\":\"\xc3\x28\"}}"),
        kind: ErrorKind::UpstreamProtocol,
    },
    Odd {
        fault: "invalid UTF-8",
        frame: |wire| wire.frame(b"\xff\xfe\x00"),
        kind: ErrorKind::UpstreamProtocol,
    },
    Odd { fault: "oversized line", frame: oversized, kind: ErrorKind::UpstreamProtocol },
];

fn oversized(wire: Wire) -> Vec<u8> {
    let (length, content) = match wire {
        Wire::Json => (MAX_ANSWER_BYTES, r#"{"choices":[{"message":{"content":""#),
        _ => (MAX_LINE_BYTES, r#"{"choices":[],"pad":""#),
    };
    let end = if wire == Wire::Json { r#""},"finish_reason":"stop"}]}"# } else { r#""}"# };
    wire.frame(format!("{content}{}{end}", "x".repeat(length)).as_bytes())
}

/// Each odd frame before each frame of each answer, and behind the last.
pub fn odd(plan: &mut Plan) {
    for case in Case::all() {
        for Odd { fault, frame, kind } in &ODD {
            let odd = Frame { bytes: frame(case.wire()), ..Frame::default() };
            if case.wire() == Wire::Json {
                // The answer is one frame: the odd one comes in its place.
                let steps = plan.write(&Reply::new(case, Framing::Sized, &[odd]).raw);
                plan.add(
                    (fault, "in place of the answer"),
                    case,
                    "",
                    steps,
                    Expect::refused(*kind),
                );
                continue;
            }
            for index in 0..=case.frames().len() {
                let (told, mut frames) = up_to(case, index);
                let expect = if told.closed {
                    Expect::whole(&told.said)
                } else {
                    Expect::failed(&told, *kind)
                };
                frames.push(odd.clone());
                frames.extend(case.frames().into_iter().skip(index));
                let steps = plan.write(&Reply::new(case, Framing::Chunked, &frames).raw);
                plan.add((fault, told.place()), case, format!("frame {index}"), steps, expect);
            }
        }
    }
}

/// What the first `index` frames tell, and these frames.
fn up_to(case: Case, index: usize) -> (Told, Vec<Frame>) {
    let mut frames = case.frames();
    frames.truncate(index);
    (Told::by(case, &frames, usize::MAX, Stop::Orderly), frames)
}

/// The body ends in good order, but before its time.
pub fn early_ends(plan: &mut Plan) {
    for case in Case::all() {
        for index in 0..case.frames().len() {
            let (told, frames) = up_to(case, index);
            for framing in [Framing::Chunked, Framing::Sized] {
                let steps = plan.write(&Reply::new(case, framing, &frames).raw);
                let expect = Expect::of(&told, ErrorKind::Truncated);
                let row = ("clean end of the body without the end mark", told.place());
                plan.add(row, case, format!("frame {index}"), steps, expect);
            }
        }
    }
}

/// More behind the end mark: frames that do not count, and bytes behind the body itself.
pub fn trailing(plan: &mut Plan) {
    for case in Case::all() {
        let more = case.wire().frame(match case.wire() {
            Wire::Ndjson => br#"{"message":{"content":"more"},"done":false}"#.as_slice(),
            _ => br#"{"choices":[{"index":0,"delta":{"content":"more"},"finish_reason":null}]}"#,
        });
        let mut bodies = Vec::new();
        if case.wire() != Wire::Json {
            let end = case.frames().pop().unwrap();
            bodies.extend([vec![more], vec![end.bytes], vec![b"\xff\x00 rubbish".to_vec()]]);
        }
        bodies.push(Vec::new());
        for body in bodies {
            let mut frames = case.frames();
            frames.extend(body.into_iter().map(|bytes| Frame { bytes, ..Frame::default() }));
            let raw = Reply::new(case, Framing::Chunked, &frames).raw;
            let (body, end) = raw.split_at(raw.len() - b"0\r\n\r\n".len());
            let mut steps = plan.write(body);
            // An answer to nothing, along with the end: it must not become the next one's.
            let odd = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            steps.push(Step::Raw([end, odd].concat()));
            let expect = Expect::whole(&case.script.whole());
            plan.add(("trailing bytes", "behind the end mark"), case, "", steps, expect);
        }
    }
}

/// Chunks that break HTTP's own rules, at every index.
pub fn broken_chunks(plan: &mut Plan) {
    const BROKEN: [&[u8]; 4] = [b"zz\r\n", b"1\r\nabc\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"];
    for case in Case::all() {
        for index in 0..=case.frames().len() {
            for broken in BROKEN {
                let (_, frames) = up_to(case, index);
                let told = Told::by(case, &frames, usize::MAX, Stop::Broken);
                let mut raw = Reply::new(case, Framing::Chunked, &frames).raw;
                raw.truncate(raw.len() - b"0\r\n\r\n".len());
                raw.extend_from_slice(broken);
                let mut steps = plan.write(&raw);
                steps.push(Step::Silence);
                let expect = Expect::of(&told, ErrorKind::Truncated);
                let row = ("broken chunk", told.place());
                plan.add(row, case, format!("frame {index}, {broken:?}"), steps, expect);
            }
        }
    }
}

/// An upstream that falls silent: before the head, behind it, and at every index, between two
/// frames and within one.
pub fn stalls(plan: &mut Plan) {
    let from = plan.trials.len();
    let late = || Expect::refused(ErrorKind::UpstreamTimeout);
    for case in Case::all() {
        plan.add(("silence", "before the head"), case, "", vec![Step::Silence], late());
        let frames = case.frames();
        let reply = Reply::new(case, Framing::Chunked, &frames);
        for index in 0..=frames.len() {
            for within in [0, 9] {
                let before: usize = frames[..index].iter().map(|frame| frame.bytes.len()).sum();
                let cut = (0..reply.raw.len()).find(|at| reply.body_at(*at) == before + within);
                let Some(at) = cut else { continue };
                let at = at.max(reply.head);
                let told = Told::by(case, &frames, reply.body_at(at), Stop::Broken);
                let mut steps = plan.write(&reply.raw[..at]);
                steps.push(Step::Silence);
                let expect = Expect::of(&told, ErrorKind::UpstreamTimeout);
                let position = format!("frame {index}, {within} bytes of it");
                plan.add(("silence", told.place()), case, position, steps, expect);
            }
        }
    }
    plan.before_model(from, SLOW);
}
