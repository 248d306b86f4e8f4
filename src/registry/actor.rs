//! The registry actor: one per worker.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, ResponseFuture};
use futures::FutureExt;
use futures::future::join_all;
use tidegate_protocol::{ErrorKind, Failure, StreamId};

use super::message::{CancelById, Drain, HeldBytes, List, Open, Opened};
use crate::stream::{
    Begun, Cancel, CancelCause, Cap, Gone, Inspect, Journals, Lease, Level, StreamActor,
    StreamInfo, StreamSpec,
};
use crate::telemetry::Ledger;

/// Knows the streams of one worker.
pub struct Registry {
    /// Shared by the registries of all workers.
    cap: Arc<Cap>,
    streams: HashMap<StreamId, Entry>,
    draining: bool,
    ledger: Ledger,
    level: Level,
    /// Shared by the registries of all workers.
    journals: Arc<Journals>,
}

struct Entry {
    stream: Addr<StreamActor>,
    owner: Arc<str>,
}

impl Registry {
    #[must_use]
    pub fn new(cap: Arc<Cap>, ledger: Ledger, journals: Arc<Journals>) -> Self {
        let (streams, level) = (HashMap::new(), Level::default());
        Self { cap, streams, draining: false, ledger, level, journals }
    }

    fn open(&mut self, spec: StreamSpec, myself: Addr<Self>) -> Result<Opened, Failure> {
        // Who joins a stream needs no place under the cap.
        if let Some(keeping) = &spec.keeping
            && let Some((standing, subscription)) = self.journals.join(&keeping.claims)?
        {
            return Ok(Opened { subscription, joined: Some(standing) });
        }
        if self.draining {
            return Err(Failure::new(ErrorKind::Draining, "the gateway is shutting down")
                .retry_after(Some(1)));
        }
        let Some(slot) = self.cap.take() else {
            return Err(Failure::new(
                ErrorKind::Capacity,
                format!("all {} streams of the gateway are in use", self.cap.limit()),
            )
            .retry_after(Some(1)));
        };
        let (id, owner) = (spec.meta.id, Arc::clone(&spec.meta.owner));
        let lease = Lease::new(id, myself.recipient(), slot);
        let (ledger, level) = (self.ledger.clone(), self.level.clone());
        match StreamActor::open(spec, lease, ledger, level, &self.journals)? {
            Begun::Joined(standing, subscription) => {
                Ok(Opened { subscription, joined: Some(standing) })
            }
            Begun::New(actor, subscription) => {
                self.streams.insert(id, Entry { stream: actor.start(), owner });
                Ok(Opened { subscription, joined: None })
            }
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Every stream's end is told here; a burst of ends must not be lost behind opens.
        ctx.set_mailbox_capacity(1024);
    }
}

impl Handler<Open> for Registry {
    type Result = Result<Opened, Failure>;

    fn handle(&mut self, Open(spec): Open, ctx: &mut Self::Context) -> Self::Result {
        self.open(*spec, ctx.address())
    }
}

impl Handler<Gone> for Registry {
    type Result = ();

    fn handle(&mut self, Gone(id): Gone, _: &mut Self::Context) {
        self.streams.remove(&id);
    }
}

impl Handler<CancelById> for Registry {
    type Result = bool;

    fn handle(&mut self, CancelById { id, caller }: CancelById, _: &mut Self::Context) -> bool {
        let entry = self.streams.get(&id).filter(|entry| caller.may_see(&entry.owner));
        let Some(entry) = entry.filter(|entry| entry.stream.connected()) else { return false };
        entry.stream.do_send(Cancel(CancelCause::Request));
        true
    }
}

impl Handler<List> for Registry {
    type Result = ResponseFuture<Vec<StreamInfo>>;

    fn handle(&mut self, List { caller }: List, _: &mut Self::Context) -> Self::Result {
        let visible = self.streams.values().filter(|entry| caller.may_see(&entry.owner));
        let asked: Vec<_> = visible.map(|entry| entry.stream.send(Inspect)).collect();
        // A stream that has just ended does not answer, and is not listed.
        async move { join_all(asked).await.into_iter().flatten().collect() }.boxed_local()
    }
}

impl Handler<HeldBytes> for Registry {
    type Result = usize;

    fn handle(&mut self, _: HeldBytes, _: &mut Self::Context) -> usize {
        self.level.get()
    }
}

impl Handler<Drain> for Registry {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        self.draining = true;
        if matches!(drain, Drain::EndAll) {
            for entry in self.streams.values() {
                entry.stream.do_send(Cancel(CancelCause::Drain));
            }
        }
    }
}

#[cfg(feature = "test-hooks")]
mod test_hooks {
    use super::{Context, Handler, Registry};
    use crate::registry::message::PanicById;
    use crate::stream::actor::test_hooks::Panic;

    impl Handler<PanicById> for Registry {
        type Result = bool;

        fn handle(&mut self, PanicById(id): PanicById, _: &mut Context<Self>) -> bool {
            let Some(entry) = self.streams.get(&id) else { return false };
            entry.stream.do_send(Panic);
            true
        }
    }
}
