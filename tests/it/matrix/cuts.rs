//! Connections that end in the wrong place: at every byte, in good order and by a reset.

use tidegate_protocol::ErrorKind;

use super::answer::{Dialect, Provider, Script};
use super::plan::{Expect, Plan};
use super::reply::{Case, Framing, Reply, Told};
use crate::upstream::Step;

const FIN: &str = "connection closed (FIN)";
const RST: &str = "connection reset (RST)";

/// No fault at all: every answer in every framing.
pub fn healthy(plan: &mut Plan) {
    for case in Case::all() {
        let frames = case.frames();
        for framing in [Framing::Chunked, Framing::Sized] {
            for _ in 0..4 {
                let steps = plan.write(&Reply::new(case, framing, &frames).raw);
                let expect = Expect::whole(&case.script.whole());
                plan.add(("none", "whole answer"), case, format!("{framing:?}"), steps, expect);
            }
        }
    }
}

/// Every byte of every answer.
pub fn at_every_byte(plan: &mut Plan) {
    for case in Case::all() {
        for framing in [Framing::Chunked, Framing::Sized, Framing::UntilClose] {
            if framing != Framing::Chunked && !shows_all_framings(case) {
                continue;
            }
            let reply = Reply::new(case, framing, &case.frames());
            for at in 0..=reply.raw.len() {
                cut(plan, case, &reply, (at, false));
                if tells_resets_apart(case) || reply.is_edge(at) {
                    cut(plan, case, &reply, (at, true));
                }
            }
        }
    }
}

/// What differs from chunks is the framing alone: two kinds of upstream, a stream and a document.
fn shows_all_framings(case: Case) -> bool {
    tells_resets_apart(case) && matches!(case.dialect, Dialect::NativeStream | Dialect::OpenAiWhole)
}

/// Resets differ from closes by what becomes of a piece of a frame, and that by the wire: the
/// other cases have them before, in and behind every frame.
fn tells_resets_apart(case: Case) -> bool {
    case.provider != Provider::Vllm && case.script == Script::Text
}

fn cut(plan: &mut Plan, case: Case, reply: &Reply, (at, reset): (usize, bool)) {
    let mut steps = plan.write(&reply.raw[..at]);
    steps.push(if reset { Step::Reset } else { Step::Close });
    let fault = if reset { RST } else { FIN };
    let position = format!("byte {at} of {}", reply.raw.len());
    if at < reply.head {
        let expect = Expect::refused(ErrorKind::UpstreamError);
        plan.add((fault, "in the response head"), case, position, steps, expect);
        return;
    }
    let told = Told::by(case, &case.frames(), reply.body_at(at), reply.stop(at, reset));
    let expect = Expect::of(&told, ErrorKind::Truncated);
    let place = match told.place() {
        "in the answer" if reply.within_framing(at) => "in the answer, within HTTP's framing",
        place => place,
    };
    plan.add((fault, place), case, position, steps, expect);
}
