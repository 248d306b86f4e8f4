//! A leg: what one upstream says of an answer; and the other models that may give one.

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure};

use super::hedge::Hedge;
use super::lane::{Lane, Serving};
use super::permits::Permit;
use crate::config::{Cause, SlowGuard};
use crate::provider::Answer;

/// So many reads without a piece of the answer are held back until it begins.
const READS_HELD: usize = 16;

/// The other models that may give a leg of a model's answers.
#[derive(Default)]
pub struct Others {
    /// Those that are asked instead, by cause and in the order in which they are asked.
    pub fallback: Vec<(Cause, Vec<Rc<Lane>>)>,
    /// In the order in which they are asked to go on.
    pub continue_on: Vec<Rc<Lane>>,
    /// An answer is kept up to here, to be gone on with.
    pub max_bytes: usize,
    /// When an answer is too slow to be waited for, where another can go on with it.
    pub slow: Option<SlowGuard>,
    pub hedge: Option<Hedge>,
}

impl Others {
    /// Who is asked instead where an answer did not begin because of this.
    #[must_use]
    pub fn instead(&self, cause: Cause) -> &[Rc<Lane>] {
        let found = self.fallback.iter().find(|(known, _)| *known == cause);
        found.map_or(&[], |(_, lanes)| lanes)
    }
}

/// What one upstream says of an answer. Dropping it closes the connection, then gives back the
/// target's room, and the permit of a model that is not the answer's own.
pub struct Leg {
    pub answer: Answer,
    pub serving: Serving,
    /// What was read of it already.
    pub first: Option<Box<Batch>>,
    /// The longest pause within it.
    pub idle: Duration,
    elsewhere: Option<Box<Permit>>,
}

impl Leg {
    pub fn new(answer: Answer, serving: Serving) -> Self {
        let idle = serving.lane().timeouts.idle;
        Self { answer, serving, first: None, idle, elsewhere: None }
    }

    /// The same, by another model, whose permit it keeps.
    pub fn by_other(self, permit: Permit) -> Self {
        Self { elsewhere: Some(Box::new(permit)), ..self }
    }

    /// Whether another model speaks.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Reads until the answer begins.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn begin(&mut self) -> Result<(), Failure> {
        let mut first = Batch::default();
        for _ in 0..READS_HELD {
            let Some(batch) = self.answer.next().await else {
                let message = "the upstream ended without saying anything";
                return Err(Failure::new(ErrorKind::Truncated, message));
            };
            let batch = batch?;
            let begins = batch.chunks > 0;
            let error = batch.events.iter().find_map(|event| match event {
                Event::Error(failure) if !begins => Some(failure.clone()),
                _ => None,
            });
            if let Some(failure) = error {
                return Err(failure);
            }
            let ends = batch.events.iter().any(|e| matches!(e, Event::Finish(_) | Event::Done));
            first.append(batch);
            if begins || ends {
                break;
            }
        }
        self.first = Some(Box::new(first));
        Ok(())
    }
}
