//! Wiring, start and shutdown. No logic lives here but the order of things.
//!
//! - [`parts`]: what one gateway is made of, built from its configuration.
//! - [`discovery`]: which models serve when none is configured.
//! - [`launch`]: the actors and handles of one worker.
//! - [`server`]: the listeners and what runs on them.
//! - [`connections`]: from sockets to requests; [`guard`], which ends connections that spin.
//! - [`gateway`]: a running gateway, from start to shutdown.

mod connections;
mod discovery;
mod gateway;
mod guard;
mod launch;
mod parts;
mod server;

pub use gateway::{Gateway, StartError, shutdown_signal};
