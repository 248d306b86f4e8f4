//! How one of a model's targets is chosen: a policy each.
//!
//! A policy sees what is known of the targets and says which one it would ask. That a target has room,
//! that its circuit is closed, that it can do what is needed, all this [`Choice`] knows. To choose
//! costs the same for ten targets and ten thousand, or grows with their logarithm.

mod fastest;

use super::field::{Choice, Field};
use crate::config::{self, Routing};

/// Chooses targets.
pub trait Policy: Send {
    /// The target that is to be asked; none where none may be.
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize>;

    /// A target has got a request, or has done with one.
    fn loaded(&mut self, _target: usize, _field: &Field) {}
}

/// The policy that a model is configured to have.
#[must_use]
pub fn of(routing: &Routing, _field: &Field) -> Box<dyn Policy> {
    match routing.policy {
        config::Policy::Fastest => Box::new(fastest::Fastest::default()),
        _ => Box::new(fastest::Fastest::default()),
    }
}
