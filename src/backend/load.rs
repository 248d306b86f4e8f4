//! What upstreams say of their own load, found out behind each probe.

use std::cell::Cell;
use std::time::Duration;

use tidegate_protocol::ErrorKind;
use tidegate_protocol::exposition::EngineLoad;
use tokio::time::timeout;

use crate::provider::Provider;
use crate::routing::Load;

/// An upstream that does not tell is not asked for so many probes: it may be another one by then.
const PAUSE_PROBES: u32 = 60;

/// Asks one upstream for its load, and leaves alone one that does not tell.
#[derive(Debug, Default)]
pub struct LoadWatch {
    /// So many probes go by before it is asked again.
    pause: Cell<u32>,
}

impl LoadWatch {
    /// What it says now, if it says anything within `limit`.
    pub async fn ask(&self, provider: &dyn Provider, limit: Duration) -> Option<Load> {
        if self.pause.get() > 0 {
            self.pause.set(self.pause.get() - 1);
            return None;
        }
        match timeout(limit, provider.load()).await {
            Ok(Ok(Some(EngineLoad { running, waiting, cache }))) => {
                Some(Load { running, waiting, cache })
            }
            // One that is not there, or not ready, may tell as soon as it is.
            Ok(Err(failure)) if is_down(failure.kind) => None,
            _ => {
                self.pause.set(PAUSE_PROBES);
                None
            }
        }
    }
}

fn is_down(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UpstreamUnreachable | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamOverloaded
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use futures::future::{FutureExt, LocalBoxFuture, ready};
    use tidegate_protocol::Failure;

    use super::*;
    use crate::provider::{Answer, Call, Refused};

    type Told = Result<Option<EngineLoad>, Failure>;

    /// Says what it is told to, one after the other.
    struct Scripted(RefCell<VecDeque<Told>>);

    impl Provider for Scripted {
        fn open(&self, _: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
            ready(Err(Failure::new(ErrorKind::Internal, "not asked for").into())).boxed_local()
        }

        fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
            ready(Ok(())).boxed_local()
        }

        fn load(&self) -> LocalBoxFuture<'static, Told> {
            ready(self.0.borrow_mut().pop_front().unwrap()).boxed_local()
        }
    }

    async fn waiting(watch: &LoadWatch, provider: &Scripted) -> Option<u32> {
        let load = watch.ask(provider, Duration::from_secs(60)).await;
        load.map(|load| load.waiting)
    }

    fn busy(waiting: u32) -> EngineLoad {
        EngineLoad { waiting, ..EngineLoad::default() }
    }

    #[actix_web::test]
    async fn one_that_does_not_tell_is_left_alone_for_a_while() {
        for silent in [
            Ok(None),
            Err(Failure::new(ErrorKind::UpstreamNotFound, "")),
            Err(Failure::new(ErrorKind::UpstreamError, "501")),
            Err(Failure::new(ErrorKind::UpstreamProtocol, "")),
        ] {
            let provider = Scripted(RefCell::new([silent, Ok(Some(busy(3)))].into()));
            let watch = LoadWatch::default();
            for _ in 0..=PAUSE_PROBES {
                assert_eq!(waiting(&watch, &provider).await, None);
            }
            assert_eq!(provider.0.borrow().len(), 1, "it was asked once");
            assert_eq!(waiting(&watch, &provider).await, Some(3));
        }
    }

    #[actix_web::test]
    async fn one_that_is_not_there_is_asked_the_next_time() {
        for kind in [ErrorKind::UpstreamUnreachable, ErrorKind::UpstreamOverloaded] {
            let down = Err(Failure::new(kind, ""));
            let provider =
                Scripted(RefCell::new([Ok(Some(busy(1))), down, Ok(Some(busy(2)))].into()));
            let watch = LoadWatch::default();
            for told in [Some(1), None, Some(2)] {
                assert_eq!(waiting(&watch, &provider).await, told);
            }
        }
    }
}
