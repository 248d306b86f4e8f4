//! One request of the soak, chosen by chance: who asks for what, what happens to it at the
//! upstream, and what must come of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::random::Random;
use crate::mishap::Mishap;
use crate::script::{Dialect, Script};

/// What the client does with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    Reads,
    /// A little at a time, on a connection that holds little.
    ReadsSlowly,
    /// Stops reading for a while after so many tokens.
    Pauses,
    /// Closes after so many tokens.
    LeavesByFin,
    LeavesByRst,
    /// Cancels by `DELETE` after so many tokens.
    Deletes,
    /// Wants the answer in one piece.
    Whole,
    /// Asks for what cannot be.
    BadRequest,
    UnknownModel,
}

impl Manner {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads all",
            Self::ReadsSlowly => "reads slowly",
            Self::Pauses => "stops reading for a while",
            Self::LeavesByFin => "leaves by FIN",
            Self::LeavesByRst => "leaves by RST",
            Self::Deletes => "cancels by DELETE",
            Self::Whole => "wants it whole",
            Self::BadRequest => "bad request",
            Self::UnknownModel => "unknown model",
        }
    }

    pub const fn leaves(self) -> bool {
        matches!(self, Self::LeavesByFin | Self::LeavesByRst)
    }
}

/// How often each is met, of a hundred times.
const MANNERS: [(Manner, u64); 9] = [
    (Manner::Reads, 49),
    (Manner::ReadsSlowly, 7),
    (Manner::Pauses, 8),
    (Manner::LeavesByFin, 8),
    (Manner::LeavesByRst, 8),
    (Manner::Deletes, 7),
    (Manner::Whole, 9),
    (Manner::BadRequest, 2),
    (Manner::UnknownModel, 2),
];

/// How often nothing happens, of a hundred times.
const HEALTHY: u64 = 40;
/// How often the model that takes few requests at a time is asked.
const NARROW: u64 = 4;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub dialect: Dialect,
    pub model: &'static str,
    pub manner: Manner,
    /// When the client does what it does, in tokens.
    pub after: u64,
    pub script: Script,
}

/// What must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// All tokens and a good end.
    Complete,
    /// So many tokens, then an error of one of these codes.
    Error { codes: Vec<&'static str>, tokens: RangeInclusive<u64> },
    /// Nothing: the client is gone.
    Nothing,
    /// No stream at all: this status.
    Status(&'static [u16]),
}

impl Case {
    /// The case of that number; the same for the same seed.
    pub fn of(seed: u64, id: u64) -> Self {
        let mut random = Random::of(seed, id);
        let manner = manner(&mut random);
        let dialect = random.pick(&[Dialect::Native, Dialect::OpenAi]);
        let is_ollama = random.percent(40);
        let relayed_whole = manner == Manner::Whole && dialect == Dialect::OpenAi && !is_ollama;
        let mishap = mishap(&mut random, manner, relayed_whole);
        let mut script = script(&mut random, id, manner, mishap);
        let after = match manner {
            Manner::Deletes => random.between(1, 12),
            Manner::LeavesByFin | Manner::LeavesByRst if mishap == Mishap::NoHead => 0,
            Manner::LeavesByFin | Manner::LeavesByRst => random.between(1, 25),
            _ => random.between(1, script.tokens.max(2)),
        };
        script.at = at(&mut random, mishap, script.tokens);
        let may_queue = manner == Manner::Reads && mishap != Mishap::Refused;
        let model = match (is_ollama, mishap) {
            _ if manner == Manner::UnknownModel => "nobody-knows-it",
            (true, Mishap::Refused) => "refused-ollama",
            (false, Mishap::Refused) => "refused-openai",
            _ if may_queue && random.percent(NARROW) => "narrow",
            (true, _) => "ollama",
            (false, _) => "openai",
        };
        Self { dialect, model, manner, after, script }
    }

    /// Where it is sent.
    pub fn path(&self) -> &'static str {
        match (self.manner, self.dialect) {
            (Manner::BadRequest, _) => "/api/chat",
            (_, dialect) => dialect.path(),
        }
    }

    pub fn expected(&self) -> Expected {
        match self.manner {
            Manner::BadRequest => return Expected::Status(&[400, 415]),
            Manner::UnknownModel => return Expected::Status(&[404]),
            Manner::LeavesByFin | Manner::LeavesByRst => return Expected::Nothing,
            Manner::Deletes => {
                let (codes, tokens) = (vec!["CANCELLED"], self.after..=u64::MAX);
                return Expected::Error { codes, tokens };
            }
            _ => {}
        }
        let Some(mut codes) = codes(self.script.mishap) else {
            return Expected::Complete;
        };
        let tokens = if self.manner == Manner::Whole { 0..=0 } else { self.tokens_before() };
        if self.model == "narrow" {
            codes.extend(["QUEUE_FULL", "QUEUE_TIMEOUT"]);
            return Expected::Error { codes, tokens: 0..=*tokens.end() };
        }
        Expected::Error { codes, tokens }
    }

    /// How many tokens come before the mishap.
    fn tokens_before(&self) -> RangeInclusive<u64> {
        let at = self.script.at;
        match self.script.mishap {
            Mishap::FinAfterFrame => at..=at + 1,
            // What was not sent when the connection is reset is lost.
            Mishap::RstAfterFrame => 0..=at + 1,
            Mishap::RstBeforeFrame | Mishap::RstInsideFrame => 0..=at,
            _ => at..=at,
        }
    }
}

fn manner(random: &mut Random) -> Manner {
    let mut left = random.between(0, 100);
    for (manner, share) in MANNERS {
        if left < share {
            return manner;
        }
        left -= share;
    }
    Manner::Reads
}

fn mishap(random: &mut Random, manner: Manner, relayed_whole: bool) -> Mishap {
    match manner {
        Manner::LeavesByFin | Manner::LeavesByRst if random.percent(20) => Mishap::NoHead,
        Manner::LeavesByFin | Manner::LeavesByRst | Manner::Deletes => Mishap::Endless,
        _ if random.percent(HEALTHY) => Mishap::Healthy,
        _ if random.percent(8) => Mishap::Quiet,
        _ if relayed_whole => random.pick(Mishap::OF_WHOLE),
        _ => random.pick(Mishap::MIXED),
    }
}

/// Slow and pausing readers get a flood, or there would be nothing to hold back.
fn script(random: &mut Random, id: u64, manner: Manner, mishap: Mishap) -> Script {
    let floods = matches!(manner, Manner::ReadsSlowly | Manner::Pauses) || random.percent(5);
    let (tokens, interval, burst) = if floods {
        (random.between(800, 2_000), 0, 16)
    } else {
        (random.between(2, 60), random.between(5, 60), 1)
    };
    // What never ends is not to fill a core either.
    let (interval, burst) =
        if mishap == Mishap::Endless { (interval.max(2), 1) } else { (interval, burst) };
    let interval = Duration::from_millis(interval);
    Script { id, tokens, interval, burst, mishap, at: 0 }
}

/// After how many tokens it happens.
fn at(random: &mut Random, mishap: Mishap, tokens: u64) -> u64 {
    match mishap {
        Mishap::Refused
        | Mishap::HangUp
        | Mishap::TooManyRequests
        | Mishap::ServerError
        | Mishap::Unavailable
        | Mishap::NoHead
        | Mishap::NoFirstToken
        | Mishap::Endless => 0,
        Mishap::Stall => random.between(1, tokens),
        Mishap::FinAfterFinish | Mishap::NoEndMark => tokens,
        _ => random.between(0, tokens),
    }
}

/// The codes by which a client is told of it, or `None` if its answer is whole all the same.
fn codes(mishap: Mishap) -> Option<Vec<&'static str>> {
    Some(match mishap {
        Mishap::None
        | Mishap::Healthy
        | Mishap::Quiet
        | Mishap::Endless
        | Mishap::FinAfterFinish
        | Mishap::TrailingFrames
        | Mishap::TrailingBytes => return None,
        Mishap::Refused => vec!["UPSTREAM_UNREACHABLE"],
        Mishap::HangUp | Mishap::ServerError | Mishap::ErrorObject => vec!["UPSTREAM_ERROR"],
        Mishap::TooManyRequests => vec!["UPSTREAM_RATE_LIMITED"],
        Mishap::Unavailable => vec!["UPSTREAM_OVERLOADED"],
        Mishap::NoHead | Mishap::NoFirstToken | Mishap::Stall => vec!["UPSTREAM_TIMEOUT"],
        Mishap::Garbage | Mishap::InvalidUtf8 | Mishap::TooLong => vec!["UPSTREAM_PROTOCOL"],
        _ => vec!["TRUNCATED"],
    })
}

/// The outcome of a stream whose client was told this code.
pub fn outcome_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "QUEUE_FULL" | "QUEUE_TIMEOUT" | "UPSTREAM_REJECTED" => "rejected",
        "UPSTREAM_TIMEOUT" => "timed_out",
        "TRUNCATED" => "truncated",
        "CANCELLED" => "cancelled",
        "DRAINED" => "drained",
        "INTERNAL_ERROR" => "internal_error",
        code if code.starts_with("UPSTREAM_") => "upstream_error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_brings_its_cases_back_and_a_thousand_have_everything() {
        let cases: Vec<_> = (0..2_000).map(|id| Case::of(7, id)).collect();
        for (case, id) in cases.iter().zip(0..) {
            assert_eq!(case.script, Case::of(7, id).script);
        }
        let manners: BTreeSet<_> = cases.iter().map(|case| case.manner).collect();
        let mishaps: BTreeSet<_> = cases.iter().map(|case| case.script.mishap).collect();
        // All but the benchmark's own.
        assert_eq!((manners.len(), mishaps.len()), (MANNERS.len(), Mishap::ALL.len() - 1));
        assert_eq!(MANNERS.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }
}
