//! Which failures are a target's own, and what they say about asking it, or another, again.

use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure};

use crate::config::Cause;

/// What was wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It failed, or was not there: more of that, and it is not asked any more for a while.
    Failed,
    /// It works, and takes no more for so long, if it says how long.
    Busy(Option<Duration>),
}

impl Fault {
    /// The target's part in a failure; none where the request is to blame, or nobody.
    #[must_use]
    pub fn of(failure: &Failure) -> Option<Self> {
        let pause = failure.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        match failure.kind {
            ErrorKind::UpstreamRateLimited => Some(Self::Busy(pause)),
            // One that says when it is back is not broken.
            ErrorKind::UpstreamOverloaded if pause.is_some() => Some(Self::Busy(pause)),
            ErrorKind::UpstreamOverloaded
            | ErrorKind::UpstreamUnreachable
            | ErrorKind::UpstreamTimeout
            | ErrorKind::UpstreamNotFound
            | ErrorKind::UpstreamUnauthorized
            | ErrorKind::UpstreamError
            | ErrorKind::UpstreamProtocol
            | ErrorKind::Truncated => Some(Self::Failed),
            _ => None,
        }
    }
}

/// As which cause a failure counts where other targets or models may be asked; none where they would
/// say the same.
#[must_use]
pub fn cause_of(failure: &Failure) -> Option<Cause> {
    match failure.kind {
        ErrorKind::UpstreamRejected if is_context(failure) => Some(Cause::Context),
        ErrorKind::UpstreamRateLimited => Some(Cause::RateLimited),
        ErrorKind::UpstreamTimeout => Some(Cause::Timeout),
        ErrorKind::NoTarget => Some(Cause::Refused),
        _ => Fault::of(failure).map(|_| Cause::Refused),
    }
}

fn is_context(failure: &Failure) -> bool {
    failure.upstream_code == Some("context_length_exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_request_is_to_blame_for_is_no_fault() {
        for kind in [ErrorKind::UpstreamRejected, ErrorKind::InvalidRequest, ErrorKind::Cancelled] {
            let failure = Failure::new(kind, "");
            assert_eq!((Fault::of(&failure), cause_of(&failure)), (None, None), "{kind:?}");
        }
        let mut long = Failure::new(ErrorKind::UpstreamRejected, "");
        long.upstream_code = Some("context_length_exceeded");
        assert_eq!((Fault::of(&long), cause_of(&long)), (None, Some(Cause::Context)));
    }

    #[test]
    fn who_says_when_to_come_back_is_busy() {
        let busy = Failure::new(ErrorKind::UpstreamOverloaded, "");
        assert_eq!(Fault::of(&busy), Some(Fault::Failed));
        let named = busy.retry_after(Some(3));
        assert_eq!(Fault::of(&named), Some(Fault::Busy(Some(Duration::from_secs(3)))));
        let limited = Failure::new(ErrorKind::UpstreamRateLimited, "");
        assert_eq!(Fault::of(&limited), Some(Fault::Busy(None)));
        assert_eq!(cause_of(&limited), Some(Cause::RateLimited));
    }
}
