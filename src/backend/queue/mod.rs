//! Who gets the next turn of a busy model. Plain data: no clock, no lock, no actor.
//!
//! - [`line`](mod@line): all that wait. Between the classes turns go out by weight, so that the lowest
//!   gets its share however many wait above it.
//! - [`class`]: those of one class. Turns go round its callers, whatever each has waiting.
//! - [`pace`]: how long a wait will be, from how long recent answers took.
//!
//! Each operation costs O(log n), but for [`Line::survey`], which tells all their places at once, and
//! [`Line::items`].

pub mod class;
pub mod line;
pub mod pace;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use line::{Bounds, Joined, Line, Ticket};
pub use pace::Pace;
