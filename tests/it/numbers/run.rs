//! The requests of the mixed run, of every kind; each counts what it does and sees.

use futures::future::join_all;
use serde_json::json;

use super::own::{Caller, Dialect, native};
use super::play::{Play, Stage};
use crate::gateway::TestGateway;
use crate::socket::Socket;

/// Who takes part.
pub struct Cast {
    pub gateway: TestGateway,
    pub stage: Stage,
    pub alice: Caller,
    pub bob: Caller,
    /// With a key that is none.
    pub stranger: Caller,
}

/// As `server.max_streams` has it.
pub const MAX_STREAMS: u64 = 30;
/// As `rate_limits.burst` has it: more than each caller asks before it is to be too much.
pub const BURST: u64 = 250;

impl Cast {
    /// Whole answers and broken ones, in every dialect, of every kind of upstream, all at once.
    pub async fn plain_answers(&self) {
        let mut asked = Vec::new();
        for (number, dialect) in Dialect::ALL.into_iter().enumerate() {
            let caller = if number % 2 == 0 { &self.alice } else { &self.bob };
            for (stream, model) in
                [(true, "one"), (false, "one"), (true, "ollama"), (false, "ollama")]
            {
                for (play, outcome) in [
                    (Play::Usage(3, [11, 5]), "completed"),
                    (Play::Usage(1, [2, 9]), "completed"),
                    (Play::Plain(4), "completed"),
                    (Play::Cut(2), "truncated"),
                    (Play::Fail, "upstream_error"),
                ] {
                    let body = dialect.asks(model, &play, stream);
                    asked.push(async move {
                        let response = caller.post(dialect.path(), &body).await;
                        let fails = !stream && outcome != "completed";
                        assert!(!fails || response.status == 502, "{body}: {response:?}");
                        caller.ended(outcome);
                    });
                }
            }
        }
        for some in chunks(asked, 20) {
            join_all(some).await;
        }
    }

    /// The first of two targets fails, and the other answers.
    pub async fn failovers(&self) {
        let asked = (0..40).map(|number| async move {
            let caller = if number % 2 == 0 { &self.alice } else { &self.bob };
            let play =
                if number % 4 == 1 { Play::Flaky(2, [5, 3]) } else { Play::Usage(2, [5, 3]) };
            let response = caller.post("/api/chat", &native("two", &play, number % 3 > 0)).await;
            assert_eq!(response.status, 200);
            caller.ended("completed");
        });
        for some in chunks(asked.collect(), 10) {
            join_all(some).await;
        }
    }

    /// The only target is busy the first time.
    pub async fn retries(&self) {
        let asked = (0..10).map(|number| async move {
            let play = Play::BusyOnce(number);
            let response = self.alice.post("/api/chat", &native("one", &play, true)).await;
            assert_eq!(response.status, 200);
            self.alice.ended("completed");
            self.alice.own.borrow_mut().retries += 1;
        });
        join_all(asked).await;
    }

    /// Clients that leave: before the head of their answer, behind it, and from one in one piece.
    pub async fn departures(&self) {
        let leaves = join_all((0..12).map(|number| async move {
            let caller = if number % 2 == 0 { &self.alice } else { &self.bob };
            let body = native("one", &Play::Stall(2), true);
            drop(caller.open_until(&body, "t1").await);
            caller.ended("cancelled");
        }));
        leaves.await;
        for stream in [true, false] {
            for number in 0..4 {
                let caller = if number % 2 == 0 { &self.alice } else { &self.bob };
                let body = native("one", &Play::Silent, stream).to_string();
                let before = self.stage.other.chats().len();
                let aborts = self.stage.other.aborted();
                let live = caller.client.send("POST", "/api/chat", Some(&body)).await;
                self.stage.other.wait_for_chats(before + 1).await;
                drop(live);
                self.stage.other.wait_for_aborts(aborts + 1).await;
                // It was answered nothing: the gateway has its own word for that.
                caller.answered("POST", "/api/chat", 499);
                caller.ended("cancelled");
            }
        }
    }

    /// Answers that are ended by `DELETE`, their owner's or nobody's.
    pub async fn cancels(&self) {
        let cancels = join_all((0..12).map(|number| async move {
            let caller = if number % 2 == 0 { &self.alice } else { &self.bob };
            let live = caller.open_until(&native("one", &Play::Stall(1), true), "t0").await;
            let path = format!("/api/chat/{}", live.id());
            let other = if number % 2 == 0 { &self.bob } else { &self.alice };
            assert_eq!(other.delete(&path).await.status, 404);
            assert_eq!(caller.delete(&path).await.status, 200);
            assert!(live.whole().await.text().contains("chat.cancelled"));
            caller.ended("cancelled");
        }));
        cancels.await;
    }

    /// Upstreams that stand still for longer than they may.
    pub async fn stalls(&self) {
        let stalls = join_all((0..6).map(|number| async move {
            let stream = number % 2 == 0;
            let body = native("hasty", &Play::Stall(1), stream);
            let response = self.bob.post("/api/chat", &body).await;
            assert_eq!(response.status, if stream { 200 } else { 504 });
            self.bob.ended("timed_out");
        }));
        stalls.await;
    }

    /// Requests that the gateway itself refuses, and others that fail before there is a stream.
    pub async fn refusals(&self) {
        let good = native("one", &Play::Plain(1), true);
        let long = json!({"messages": [{"role": "user", "content": "x".repeat(200_000)}]});
        for caller in [&self.alice, &self.bob] {
            for dialect in Dialect::ALL {
                let response = caller.post(dialect.path(), &json!({"messages": 7})).await;
                assert_eq!(response.status, 400);
                caller.refused("invalid");
                let unknown = dialect.asks("nobody", &Play::Plain(1), true);
                assert_eq!(caller.post(dialect.path(), &unknown).await.status, 404);
                caller.refused("invalid");
                assert_eq!(self.stranger.post(dialect.path(), &good).await.status, 401);
                self.stranger.refused("unauthorized");
            }
            assert_eq!(caller.post("/api/chat", &long).await.status, 413);
            caller.refused("invalid");
            let typed = caller.with("Content-Type", "text/plain");
            assert_eq!(typed.post("/api/chat", &good).await.status, 415);
            caller.refused("invalid");
            let put = caller.client.send("PUT", "/api/chat", Some("{}")).await.whole().await;
            assert_eq!(put.status, 405);
            caller.answered("other", "/api/chat", put.status);
        }
    }

    /// Questions that are no chats.
    pub async fn looks(&self) {
        for path in ["/api/models", "/v1/models", "/v1/models/one", "/api/chat/streams"] {
            for caller in [&self.alice, &self.bob] {
                assert_eq!(caller.get(path).await.status, 200, "{path}");
            }
            assert_eq!(self.stranger.get(path).await.status, 401, "{path}");
            self.stranger.refused("unauthorized");
        }
        for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
            assert_eq!(self.stranger.get(path).await.status, 200, "{path}");
        }
        for path in ["/nowhere", "/nowhere/else"] {
            assert_eq!(self.alice.get(path).await.status, 404, "{path}");
        }
        assert_eq!(self.alice.get(&format!("/api/chat/{}", "0".repeat(32))).await.status, 404);
    }

    /// A model of one permit, and of one place in its queue.
    pub async fn queue(&self) {
        for number in 100..103 {
            let gated = |stream| native("narrow", &Play::Gated(number), stream);
            let first = self.alice.open_until(&gated(true), "t0").await;
            let impatient = self.bob.with("X-Queue-Timeout-Ms", "20");
            assert_eq!(impatient.post("/api/chat", &gated(false)).await.status, 503);
            impatient.ended("rejected");
            impatient.refused("queue_timeout");
            let waits = async {
                let response = self.alice.post("/api/chat", &gated(false)).await;
                assert_eq!(response.status, 200);
                self.alice.ended("completed");
            };
            let one_too_many = async {
                self.queued().await;
                assert_eq!(self.alice.post("/api/chat", &gated(true)).await.status, 429);
                self.alice.ended("rejected");
                self.alice.refused("queue_full");
                self.stage.gate(number).open();
            };
            futures::join!(waits, one_too_many);
            assert!(first.whole().await.text().contains("t1"));
            self.alice.ended("completed");
        }
    }

    /// Waits until a request of Alice's waits for its turn.
    async fn queued(&self) {
        let is_queued = || async {
            let list = self.alice.get("/api/chat/streams").await.json();
            list["stats"]["queued"] == 1
        };
        while !is_queued().await {
            tokio::task::yield_now().await;
        }
    }

    /// As many streams as there may be, and some more.
    pub async fn crowd(&self) {
        let body = native("one", &Play::Gated(200), true);
        let opened = (0..MAX_STREAMS).map(|_| self.bob.open_until(&body, "t0"));
        let all = join_all(opened).await;
        for caller in [&self.alice, &self.bob, &self.alice] {
            assert_eq!(caller.post("/api/chat", &body).await.status, 429);
            caller.refused("capacity");
        }
        self.stage.gate(200).open();
        for live in all {
            assert!(live.whole().await.text().contains("t1"));
            self.bob.ended("completed");
        }
    }

    /// Answers that are read by others than who began them, or by nobody.
    pub async fn readers(&self) {
        let gate = 300;
        let body = native("one", &Play::Gated(gate), true);
        let detached = self.alice.with("X-On-Disconnect", "detach");
        let live = detached.open_until(&body, "t0").await;
        let left = live.id();
        drop(live);
        detached.ended("completed");
        let keyed = self.bob.with("Idempotency-Key", "the same");
        let first = keyed.open_until(&body, "t0").await;
        let joined = keyed.open_until(&body, "t0").await;
        let other = native("one", &Play::Plain(1), true);
        assert_eq!(keyed.post("/api/chat", &other).await.status, 422);
        let resumes = async {
            let path = format!("/api/chat/{left}");
            assert!(self.alice.get(&path).await.text().contains("t1"));
            self.alice.has_read("completed");
            assert_eq!(self.bob.get(&path).await.status, 404);
        };
        let opens = async {
            // Somebody reads the one that was left before it goes on.
            while self.watchers(&left).await == 0 {
                tokio::task::yield_now().await;
            }
            self.stage.gate(gate).open();
        };
        futures::join!(resumes, opens);
        for live in [first, joined] {
            assert!(live.whole().await.text().contains("t1"));
        }
        self.bob.ended("completed");
        self.bob.has_read("completed");
        let after = format!("/api/chat/{left}?after=3");
        assert_eq!(self.alice.get(&after).await.status, 204);
    }

    async fn watchers(&self, id: &str) -> u64 {
        let list = self.alice.get("/api/chat/streams").await.json();
        let mut streams = list["streams"].as_array().unwrap().iter();
        let stream = streams.find(|stream| stream["requestId"] == id).expect("it goes on");
        stream["watchers"].as_u64().unwrap()
    }

    /// Many streams over one socket.
    pub async fn socket(&self) {
        let key = format!("Bearer {}", self.bob.key);
        let mut socket =
            Socket::open_with(self.gateway.address(), &[("Authorization", &key)]).await.unwrap();
        let start = |name: &str, play: Play| {
            let request = native("one", &play, true);
            json!({"type": "start", "ref": name, "request": request})
        };
        let mut last = String::new();
        for _ in 0..5 {
            socket.send(start("whole", Play::Usage(2, [4, 6]))).await;
            last = socket.whole("whole").await.stream;
            self.bob.ended("completed");
            socket.send(start("cancelled", Play::Stall(1))).await;
            socket.some("cancelled", 1).await;
            socket.send(json!({"type": "cancel", "ref": "cancelled"})).await;
            assert_eq!(socket.whole("cancelled").await.names, ["chat.cancelled"]);
            self.bob.ended("cancelled");
            socket.send(start("cut", Play::Cut(2))).await;
            assert_eq!(socket.whole("cut").await.names.last().unwrap(), "error");
            self.bob.ended("truncated");
            (0..3).for_each(|_| self.bob.said("start"));
        }
        socket.send(json!({"type": "resume", "ref": "again", "stream": last, "after": 1})).await;
        socket.whole("again").await;
        self.bob.said("resume");
        self.bob.has_read("completed");
        socket.send(json!({"type": "resume", "ref": "read", "stream": last, "after": 3})).await;
        assert_eq!(socket.told().await["type"], "left");
        self.bob.said("resume");
        let nobodys = "0".repeat(32);
        for (message, kind, status, reason) in [
            (json!({"type": "resume", "ref": "b", "stream": nobodys}), "resume", 404, None),
            (json!({"type": "start", "ref": "a", "request": {}}), "start", 400, Some("invalid")),
            (json!({"type": "start"}), "start", 400, Some("invalid")),
            (json!({"type": "dance"}), "unknown", 400, Some("invalid")),
            (json!({"type": "cancel", "ref": "nobody"}), "cancel", 404, None),
            (json!({"type": "ack", "ref": "x", "number": 1}), "ack", 404, None),
        ] {
            socket.send(message).await;
            assert_eq!(socket.told().await["status"], status);
            self.bob.said(kind);
            if let Some(reason) = reason {
                self.bob.refused(reason);
            }
        }
        drop(socket);
        self.bob.answered("GET", "/api/ws", 101);
        let mut socket = Socket::open(self.gateway.address()).await;
        socket.send(json!({"type": "authenticate", "key": "a key that nobody has"})).await;
        assert_eq!(socket.told().await["status"], 401);
        self.stranger.said("authenticate");
        self.stranger.refused("unauthorized");
        drop(socket);
        self.stranger.answered("GET", "/api/ws", 101);
    }

    /// A caller that asks too much.
    pub async fn flood(&self) {
        let mut limited = 0;
        while limited < 5 {
            let response = self.alice.post("/api/chat", &json!({"messages": 7})).await;
            let is_limited = response.status == 429;
            self.alice.refused(if is_limited { "rate_limited" } else { "invalid" });
            limited += u64::from(is_limited);
        }
    }
}

/// So many at a time.
fn chunks<T>(mut all: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let rest = all.split_off(all.len().min(size));
        let some = std::mem::replace(&mut all, rest);
        (!some.is_empty()).then_some(some)
    })
}
