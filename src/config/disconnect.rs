//! What becomes of an answer whose client has left.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// What becomes of an answer whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The upstream is stopped at once.
    Cancel,
    /// The upstream may go on for a while, so that its usage is learnt.
    RunOn,
    /// The answer is generated to its end.
    Detach,
}

impl OnDisconnect {
    pub const ALL: [Self; 3] = [Self::Cancel, Self::RunOn, Self::Detach];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::RunOn => "run-on",
            Self::Detach => "detach",
        }
    }
}

/// A model's policy, which a request may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    pub policy: OnDisconnect,
    /// The longest that an answer may run on.
    pub run_on: Duration,
}

impl Default for Disconnect {
    fn default() -> Self {
        Self { policy: OnDisconnect::Cancel, run_on: Duration::from_secs(30) }
    }
}

impl Disconnect {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let policy = kind::choice(&OnDisconnect::ALL, OnDisconnect::as_str);
        Self {
            policy: section.get("on_disconnect", &policy, default.policy),
            run_on: section.get("run_on_seconds", &kind::seconds(3600), default.run_on),
        }
    }
}
