//! Vectors on their way from an upstream to a client: what the dialects share of it. They differ in
//! the document that holds them.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::codec::{Batch, Decoder, End, Payload};
use crate::error::{ErrorKind, Failure};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::whole_body::WholeBody;

/// An upstream's document of vectors.
pub trait Document {
    /// One vector, as the document has it.
    type Vector: DeserializeOwned;

    /// What a document tells; `T` is what is wanted of each vector. Nothing where it is neither
    /// vectors nor an error.
    fn tell<T: DeserializeOwned>(text: &str) -> Option<Result<Told<T>, Failure>>;

    /// The vectors in the order of the texts.
    ///
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`] where they have none.
    fn in_order(vectors: Vec<Self::Vector>) -> Result<Vec<Vec<f32>>, Failure>;
}

/// What an answer says: vectors (or that they are there), and what else it tells.
pub struct Told<T> {
    pub vectors: Vec<T>,
    pub notices: Vec<Event>,
}

/// Collects the body and reads it at its end.
#[derive(Debug)]
pub struct VectorDecoder<D> {
    /// For how many texts vectors were asked for; none where the body is passed on.
    texts: Option<usize>,
    body: WholeBody,
    document: PhantomData<D>,
}

impl<D> VectorDecoder<D> {
    /// Gives one vector for each of `texts`.
    #[must_use]
    pub fn new(max_bytes: usize, texts: usize) -> Self {
        Self { texts: Some(texts), ..Self::relay(max_bytes) }
    }

    /// Passes the body on as it is; only what it counts is looked at, and that there are vectors.
    #[must_use]
    pub fn relay(max_bytes: usize) -> Self {
        Self { texts: None, body: WholeBody::new(max_bytes), document: PhantomData }
    }
}

impl<D: Document> Decoder for VectorDecoder<D> {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        self.body.take(read).map(|()| Batch::default())
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let Some(texts) = self.texts else {
            let (told, body) = self.body.end(D::tell::<IgnoredAny>)?;
            let events = told?.notices;
            return Ok(Batch { frames: vec![body], events, chunks: 1, ..Batch::default() });
        };
        let (told, _) = self.body.end(D::tell::<D::Vector>)?;
        let Told { vectors, notices } = told?;
        let mut events = vec![event(D::in_order(vectors)?, texts)?];
        events.extend(notices);
        Ok(Batch { events, chunks: 1, ..Batch::default() })
    }
}

/// The vectors as an event; `asked` is for how many texts.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is not one for each text, or one is empty or holds what
/// is no number.
fn event(vectors: Vec<Vec<f32>>, asked: usize) -> Result<Event, Failure> {
    let protocol = |message: String| Failure::new(ErrorKind::UpstreamProtocol, message);
    if vectors.len() != asked {
        let count = vectors.len();
        return Err(protocol(format!("the upstream sent {count} vectors for {asked} texts")));
    }
    // A number too large for a float becomes infinite, for which JSON has no word.
    let is_sound =
        |vector: &Vec<f32>| !vector.is_empty() && vector.iter().all(|number| number.is_finite());
    match vectors.iter().position(|vector| !is_sound(vector)) {
        None => Ok(Event::Embeddings(vectors)),
        Some(index) => Err(protocol(format!(
            "the upstream's vector {index} is empty, or not of finite numbers"
        ))),
    }
}

/// What is held for a client until its document can be written.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Relayed: the upstream's own document.
    body: Vec<Bytes>,
    vectors: Vec<Vec<f32>>,
}

impl Held {
    pub fn take(&mut self, batch: Batch) {
        self.body.extend(batch.frames);
        for event in batch.events {
            if let Event::Embeddings(vectors) = event {
                self.vectors.extend(vectors);
            }
        }
    }

    /// Gives out the upstream's document, or the one that `write` makes of the vectors. An answer
    /// that did not complete is not written: the HTTP layer answers with an error.
    pub fn end(
        &mut self,
        end: &End<'_>,
        out: &mut Vec<Payload>,
        write: impl FnOnce(&[Vec<f32>]) -> Vec<u8>,
    ) {
        if end.outcome != Outcome::Completed {
            return;
        }
        if self.body.is_empty() {
            out.push(Payload::Wire(Bytes::from(write(&self.vectors))));
        } else {
            out.extend(self.body.drain(..).map(Payload::Wire));
        }
    }

    pub fn bytes(&self) -> usize {
        let of_vector = |vector: &Vec<f32>| size_of::<Vec<f32>>() + size_of_val(vector.as_slice());
        let vectors: usize = self.vectors.iter().map(of_vector).sum();
        vectors + self.body.iter().map(Bytes::len).sum::<usize>()
    }
}
