//! The commands: the gateway itself, and what is asked of one from the shell.
//!
//! Those that ask a running gateway speak its own API like any other client. What they print goes to a
//! terminal, and the names and texts in it are other people's: [`printable`] takes from them what a
//! terminal would obey.
//!
//! - [`serve`], [`check`], [`simulate`], [`health`], [`chat`], [`top`]: a command each.
//! - [`place`]: where a gateway is found; `client`: how it is asked, and with which key.
//! - [`output`]: how commands write and end; [`problem`]: what can go wrong, and the exit codes.
//! - `signals`: what ends a command from outside.

pub mod chat;
pub mod check;
mod client;
pub mod health;
pub mod output;
pub mod place;
pub mod printable;
pub mod problem;
pub mod serve;
mod signals;
pub mod simulate;
pub mod top;

pub use client::Reach;
pub use problem::Problem;
