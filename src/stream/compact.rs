//! Frames moved into memory of their own size.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tidegate_protocol::Payload;

use super::delivery::Frame;

/// Moves the payloads of all frames into two blocks, one for bytes and one for text.
pub fn compact(frames: &mut VecDeque<Frame>) {
    let mut wire = BytesMut::new();
    let mut text = String::new();
    let (bytes, letters) = sizes(frames);
    wire.reserve(bytes);
    text.reserve(letters);
    for frame in frames.iter() {
        match &frame.payload {
            Payload::Wire(bytes) => wire.extend_from_slice(bytes),
            Payload::Event { data, .. } => text.push_str(data),
        }
    }
    let (mut wire, mut text) = (wire.freeze(), ByteString::from(text));
    for frame in frames.iter_mut() {
        match &mut frame.payload {
            Payload::Wire(bytes) => *bytes = first_bytes(&mut wire, bytes.len()),
            Payload::Event { data, .. } => {
                let (first, rest) = text.split_at(data.len());
                (*data, text) = (first, rest);
            }
        }
    }
    // Shrinking would keep the block as long as half of it is used: mimalloc's does.
    let mut packed = VecDeque::with_capacity(frames.len());
    packed.append(frames);
    *frames = packed;
}

fn sizes(frames: &VecDeque<Frame>) -> (usize, usize) {
    frames.iter().fold((0, 0), |(bytes, letters), frame| match &frame.payload {
        Payload::Wire(wire) => (bytes + wire.len(), letters),
        Payload::Event { data, .. } => (bytes, letters + data.len()),
    })
}

fn first_bytes(wire: &mut Bytes, length: usize) -> Bytes {
    wire.split_to(length)
}
