//! What becomes of a stream whose actor dies.

use std::time::{Duration, Instant};

use actix::{Addr, Handler};
use tidegate_protocol::StreamId;
use tidegate_protocol::native::EventEncoder;

use super::*;
use crate::config::Config;
use crate::routing::Need;
use crate::stream::message::Gone;
use crate::stream::slot::Cap;
use crate::telemetry::{AccessLog, AccessRecord, Metrics};

/// Stands for the backend and the registry; keeps what it is asked.
#[derive(Default)]
struct Probe {
    asked: Option<Generate>,
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Generate> for Probe {
    type Result = ();

    fn handle(&mut self, job: Generate, _: &mut Self::Context) {
        self.asked = Some(job);
    }
}

impl Handler<Gone> for Probe {
    type Result = ();

    fn handle(&mut self, _: Gone, _: &mut Self::Context) {}
}

#[derive(actix::Message)]
#[rtype(result = "Option<CancellationToken>")]
struct Token;

impl Handler<Token> for Probe {
    type Result = Option<CancellationToken>;

    fn handle(&mut self, _: Token, _: &mut Self::Context) -> Self::Result {
        self.asked.as_ref().map(|job| job.cancel.clone())
    }
}

fn open(probe: &Addr<Probe>, cap: &Arc<Cap>) -> (Box<StreamActor>, Subscription) {
    let metrics = Metrics::new(false).unwrap();
    let id = StreamId::new(0, 1);
    let spec = StreamSpec {
        meta: StreamMeta {
            id,
            model: "m".to_owned(),
            provider: "openai",
            target: None,
            dialect: "native",
            owner: "anonymous".into(),
            client: None,
            arrived: Instant::now(),
            log_span: tracing::Span::none(),
        },
        upload: Duration::ZERO,
        request: Arc::default(),
        need: Need::default(),
        claimant: Claimant::anybody(),
        encoder: Box::new(EventEncoder::new("m".to_owned())),
        backend: Arc::new(probe.clone().recipient()),
        metrics: Arc::new(metrics.model("m")),
        record: AccessRecord::open(&AccessLog::off(&metrics), id, Instant::now()),
        trace: None,
        disconnect: Disconnect::default(),
        buffer_bytes: 1,
        answer_bytes: 1,
        keeping: None,
    };
    let lease = Lease::new(id, probe.clone().recipient(), cap.take().unwrap());
    let limits = Config::parse("", []).unwrap().config.journal;
    let journals = Journals::new(limits, metrics.journals);
    let begun = StreamActor::open(spec, lease, metrics.streams, Level::default(), &journals);
    let Ok(Begun::New(actor, subscription)) = begun else { panic!() };
    (actor, subscription)
}

/// A client that does not read keeps its subscription; the upstream must not outlive the
/// actor all the same.
#[actix::test]
async fn an_actor_that_dies_stops_its_upstream_and_frees_its_slot() {
    let (probe, cap) = (Probe::default().start(), Cap::new(1));
    let (actor, subscription) = open(&probe, &cap);
    let stream = actor.start();
    stream.send(Inspect).await.unwrap();
    let token = probe.send(Token).await.unwrap().unwrap();
    assert_eq!((token.is_cancelled(), cap.active()), (false, 1));

    stream.do_send(test_hooks::Panic);
    token.cancelled().await;
    assert_eq!(cap.active(), 0);
    drop(subscription);
}
