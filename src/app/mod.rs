//! Wiring, start and shutdown. No logic lives here but the order of things.
//!
//! - [`parts`]: what lasts as long as a gateway runs. [`generation`]: what one configuration makes of it,
//!   model by [`model`].
//! - [`reload`]: another generation in its place; [`watch`], when. [`probing`]: whether upstreams are there.
//! - [`discovery`]: which models serve when none is configured.
//! - [`launch`]: the actors and handles of one worker.
//! - [`server`]: the listeners and what runs on them.
//! - [`connections`]: from sockets to requests; [`guard`], which ends connections that spin.
//! - [`gateway`]: a running gateway, from start to shutdown.

mod connections;
mod discovery;
mod gateway;
mod generation;
mod guard;
mod launch;
mod model;
mod parts;
mod probing;
mod reload;
mod server;
mod watch;

pub use gateway::{Gateway, StartError, shutdown_signal};
