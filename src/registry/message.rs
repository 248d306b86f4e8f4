//! What a registry can be asked.

use actix::Message;
use tidegate_protocol::{Failure, StreamId};

use crate::access::Caller;
use crate::stream::{Standing, StreamInfo, StreamSpec, Subscription};

/// Opens a stream, unless the cap is reached or the gateway drains; or joins one that answers the same
/// request.
#[derive(Message)]
#[rtype(result = "Result<Opened, Failure>")]
pub struct Open(pub Box<StreamSpec>);

/// A stream to read.
pub struct Opened {
    pub subscription: Subscription,
    /// What is read, where it was there already.
    pub joined: Option<Standing>,
}

/// Cancels a stream; `false` when there is none of that id that the caller may see.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct CancelById {
    pub id: StreamId,
    pub caller: Caller,
}

/// Lists the streams that the caller may see.
#[derive(Message, Clone)]
#[rtype(result = "Vec<StreamInfo>")]
pub struct List {
    pub caller: Caller,
}

/// Asks how many bytes the streams of a worker hold for their clients.
#[derive(Message, Clone, Copy)]
#[rtype(result = "usize")]
pub struct HeldBytes;

/// Shuts down: no new streams from now on, or an end to those that still run.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub enum Drain {
    StopAdmitting,
    EndAll,
}

/// Makes the actor of one stream panic, for the tests of supervision; `false` when there is none.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "bool")]
pub struct PanicById(pub StreamId);
