//! What can happen to an answer at its upstream. The soak tells it in the prompt, by number.

/// What the upstream does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// The benchmark's answers: nothing happens, and tokens do not name their stream.
    None,
    Healthy,
    /// A pause that is longer than a heartbeat and shorter than every time limit.
    Quiet,
    /// Goes on until the connection is closed.
    Endless,
    /// Nobody listens: the request goes to a port that is closed.
    Refused,
    /// The connection is closed instead of an answer.
    HangUp,
    TooManyRequests,
    ServerError,
    Unavailable,
    NoHead,
    NoFirstToken,
    Stall,
    FinBeforeFrame,
    FinInsideFrame,
    FinAfterFrame,
    RstBeforeFrame,
    RstInsideFrame,
    RstAfterFrame,
    /// The finish reason came, the end mark did not.
    FinAfterFinish,
    /// The body ends as it should, the answer does not.
    NoEndMark,
    ErrorObject,
    Garbage,
    InvalidUtf8,
    TooLong,
    /// Frames behind the end mark.
    TrailingFrames,
    /// Bytes behind the end of the body.
    TrailingBytes,
}

impl Mishap {
    /// What an answer in one piece can have stands together.
    pub const ALL: [Self; 26] = [
        Self::None,
        Self::Healthy,
        Self::Endless,
        Self::Quiet,
        Self::Refused,
        Self::HangUp,
        Self::TooManyRequests,
        Self::ServerError,
        Self::Unavailable,
        Self::NoHead,
        Self::NoFirstToken,
        Self::Stall,
        Self::FinBeforeFrame,
        Self::FinInsideFrame,
        Self::RstInsideFrame,
        Self::ErrorObject,
        Self::Garbage,
        Self::InvalidUtf8,
        Self::TrailingBytes,
        Self::FinAfterFrame,
        Self::RstBeforeFrame,
        Self::RstAfterFrame,
        Self::FinAfterFinish,
        Self::NoEndMark,
        Self::TooLong,
        Self::TrailingFrames,
    ];

    /// Those that a client which reads to the end is given by chance.
    pub const MIXED: &[Self] = Self::ALL.split_at(4).1;

    /// Those that an answer in one piece can have.
    pub const OF_WHOLE: &[Self] = Self::ALL.split_at(3).1.split_at(16).0;

    /// How the prompt spells it.
    pub fn number(self) -> usize {
        Self::ALL.iter().position(|mishap| *mishap == self).unwrap_or_default()
    }

    /// What reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None | Self::Healthy => "none",
            Self::Quiet => "a pause",
            Self::Endless => "never ends",
            Self::Refused => "connection refused",
            Self::HangUp => "closed before the head",
            Self::TooManyRequests => "429",
            Self::ServerError => "500",
            Self::Unavailable => "503",
            Self::NoHead => "hangs before the head",
            Self::NoFirstToken => "hangs before the first token",
            Self::Stall => "stalls",
            Self::FinBeforeFrame => "FIN before a frame",
            Self::FinInsideFrame => "FIN inside a frame",
            Self::FinAfterFrame => "FIN after a frame",
            Self::RstBeforeFrame => "RST before a frame",
            Self::RstInsideFrame => "RST inside a frame",
            Self::RstAfterFrame => "RST after a frame",
            Self::FinAfterFinish => "FIN after the finish reason",
            Self::NoEndMark => "ends without an end mark",
            Self::ErrorObject => "error object",
            Self::Garbage => "garbage frame",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::TooLong => "line too long",
            Self::TrailingFrames => "frames behind the end mark",
            Self::TrailingBytes => "bytes behind the body",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mishap_has_its_number() {
        for (number, mishap) in Mishap::ALL.into_iter().enumerate() {
            assert_eq!(mishap.number(), number);
        }
        assert_eq!(Mishap::MIXED.first(), Some(&Mishap::Refused));
        let of_whole = (Mishap::OF_WHOLE.first(), Mishap::OF_WHOLE.last());
        assert_eq!(of_whole, (Some(&Mishap::Quiet), Some(&Mishap::TrailingBytes)));
    }
}
