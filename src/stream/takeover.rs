//! What a stream makes of another model coming in: the client is told, the recorder and the log.

use tidegate_protocol::Failure;

use super::spec::StreamMeta;
use super::transcript::Transcript;
use crate::backend::{HedgeResult, Takeover};
use crate::telemetry::StreamRecorder;

/// Notes it, before anything that the other model says is passed on.
pub(super) fn note(
    takeover: Takeover,
    meta: &StreamMeta,
    recorder: &mut StreamRecorder,
    transcript: &mut Transcript,
) {
    let log = |by: &str, failure: &Failure, tokens: u64, what: &'static str| {
        let StreamMeta { id, model, log_span, .. } = meta;
        let (code, error) = (failure.kind.code(), failure.logged());
        tracing::warn!(parent: log_span, %id, model, by, code, tokens, error, "{what}");
    };
    match takeover {
        Takeover::Hedged { result, by, failure } => {
            if let Some(failure) = &failure {
                log(&by, failure, 0, "another model answers instead");
            }
            let answers = (result == HedgeResult::Won).then_some(&by);
            recorder.hedged(result.as_str(), answers, failure.map(|failure| failure.kind));
        }
        Takeover::Instead { by, cause, failure } => {
            log(&by, &failure, 0, "another model answers instead");
            recorder.fell_back(&by, cause, failure.kind);
        }
        Takeover::NotInstead { by, cause, failure } => {
            log(&by, &failure, 0, "another model did not answer instead");
            recorder.did_not_fall_back(cause);
        }
        Takeover::Continued { by, failure, signature } => {
            log(&by, &failure, recorder.chunk_count(), "another model goes on with the answer");
            recorder.continued(&by, failure.kind);
            transcript.continued(&by, &failure, signature.as_ref());
        }
        Takeover::NotContinued { by, failure } => {
            log(&by, &failure, recorder.chunk_count(), "another model did not go on");
            recorder.not_continued();
        }
    }
}
