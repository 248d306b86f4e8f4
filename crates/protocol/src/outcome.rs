//! How a stream ended.

/// How a stream ended; set exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream gave evidence that the answer is whole.
    Completed,
    /// The client left, or somebody asked for the end.
    Cancelled,
    /// The upstream stopped without evidence that the answer is whole.
    Truncated,
    /// The upstream failed, had no room for the request, or could not be reached.
    UpstreamError,
    /// One of the stream's time limits passed.
    TimedOut,
    /// The gateway shut down before the answer was whole.
    Drained,
    /// The request was refused: the queue had no room for it or no turn in time, or the upstream found
    /// it wrong.
    Rejected,
    /// A fault of the gateway itself.
    InternalError,
}

impl Outcome {
    /// Every outcome, for metrics that must exist before the first stream ends.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Cancelled,
        Self::Truncated,
        Self::UpstreamError,
        Self::TimedOut,
        Self::Drained,
        Self::Rejected,
        Self::InternalError,
    ];

    /// The outcome as metrics, logs and answers spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Truncated => "truncated",
            Self::UpstreamError => "upstream_error",
            Self::TimedOut => "timed_out",
            Self::Drained => "drained",
            Self::Rejected => "rejected",
            Self::InternalError => "internal_error",
        }
    }
}
