//! An Ollama's answer in one piece, passed on as it is.

use bytes::Bytes;

use super::scan::Scanned;
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::Event;
use crate::original::Form;
use crate::whole_body::WholeBody;

/// Collects a JSON body, and passes it on at its end.
#[derive(Debug)]
pub struct RelayWhole {
    form: Form,
    body: WholeBody,
}

impl RelayWhole {
    /// A larger body is a failure. `form` is what it answers: vectors have no end mark.
    #[must_use]
    pub fn new(max_bytes: usize, form: Form) -> Self {
        Self { form, body: WholeBody::new(max_bytes) }
    }
}

impl Decoder for RelayWhole {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        self.body.take(read).map(|()| Batch::default())
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let (scanned, body) = self.body.end(|text| Scanned::of(text).ok())?;
        let mut batch = Batch::default();
        if let Some(failure) = scanned.error {
            batch.events.push(Event::Error(failure));
            return Ok(batch);
        }
        batch.chunks = 1;
        match scanned.ending {
            Some(ending) => ending.tell(scanned.calls_tools, &mut batch.events),
            None if self.form.is_embedding() && scanned.has_vectors => {
                batch.events.push(Event::Done);
            }
            // Whole JSON, but no evidence of an end.
            None => {}
        }
        batch.frames.push(body);
        Ok(batch)
    }
}
