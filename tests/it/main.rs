//! The gateway as its clients and its upstreams see it.
//!
//! One binary: a scripted upstream that can misbehave in any way ([`upstream`], in the words of
//! [`wire`]), a gateway started in the test's own process ([`gateway`]) or in one of its own
//! ([`process`]), a collector of telemetry ([`collector`]), clients that read what really is on the wire
//! ([`client`], [`http2`]), the phases of an answer ([`phase`]), and one file per thing that users care about.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod client;
mod collector;
mod gateway;
mod http2;
mod phase;
mod process;
mod upstream;
mod wire;

mod access;
mod answered_by;
mod anthropic;
mod bad_input;
mod binary;
mod canaries;
mod cancel;
mod cli;
mod cli_ends;
mod cli_place;
mod cli_terminal;
mod concurrency;
mod console;
mod continuation;
mod continuation_bounds;
mod count_tokens;
mod detached;
mod disconnects;
mod disconnects_http2;
mod drain;
mod fallback;
mod faults;
mod fleet;
mod heads;
mod hedging;
mod hostile;
mod key_pools;
mod kills;
mod kills_hedged;
mod leaving;
mod loads;
mod losses;
mod matrix;
mod measures;
mod native;
mod numbers;
mod ollama;
mod ollama_surface;
mod openai;
mod otlp;
mod pipelining;
mod preempt;
mod queue;
mod records;
mod reload;
mod reload_binary;
mod responses;
mod responses_kept;
mod responses_resumed;
mod resume;
mod retries;
mod sigterm;
mod socket;
mod sockets;
mod sockets_bounded;
mod status;
mod storm;
mod supervision;
mod texts;
mod tls;
mod traces;
mod vectors;
mod watchers;
