//! The commands that ask a running gateway: one prompt from the shell, and the live list in the
//! terminal.
//!
//! They speak the gateway's own API like any other client. What they print goes to a terminal, and
//! the names and texts in it are other people's: [`printable`] takes from them what a terminal would
//! obey.
//!
//! - [`chat`]: `tidegate chat`.
//! - [`top`]: `tidegate top`.
//! - [`client`]: how both reach the gateway, with which key, and what can go wrong.

pub mod chat;
pub mod client;
pub mod printable;
pub mod top;

pub use client::Reach;
