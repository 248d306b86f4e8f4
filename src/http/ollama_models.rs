//! The models there are, told as Ollama tells them.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidegate_protocol::ollama::client::listing::{self, Listed};
use tidegate_protocol::ollama::client::stamp::rfc3339;
use tidegate_protocol::{ErrorKind, Failure};
use tokio::time::timeout;

use super::body::read_body;
use super::caller::identify;
use super::chat::ChatLimits;
use super::error::ApiError;
use super::models::Models;
use super::ollama::{OllamaChat, other_name};
use super::worker::Worker;
use crate::admission::Admission;
use crate::config::{Model, ModelType};
use crate::registry::Directory;

type Answer = Result<HttpResponse, ApiError<OllamaChat>>;

/// How long an Ollama may take to describe a model.
const DESCRIBE_TIME: Duration = Duration::from_secs(5);

fn listed(model: &Model) -> Listed {
    let capability = match model.model_type {
        ModelType::Chat | ModelType::Completion => "completion",
        ModelType::Embedding => "embedding",
    };
    Listed {
        name: model.name.clone(),
        family: model.provider().to_owned(),
        capabilities: vec![capability],
    }
}

fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

fn started(models: &Models) -> String {
    rfc3339(models.started.saturating_mul(1_000_000_000))
}

/// `GET /api/tags`
///
/// # Errors
/// [`ErrorKind::Unauthorized`].
pub async fn tags(
    http: HttpRequest,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
) -> Answer {
    identify(&http, admission.keys(), &limits.proxies)?;
    let all: Vec<_> = models.catalog.models().iter().map(|model| listed(model)).collect();
    Ok(json(listing::tags_body(&all, &started(&models))))
}

/// `GET /api/ps`: the models at work for the caller.
///
/// # Errors
/// [`ErrorKind::Unauthorized`].
pub async fn running(
    http: HttpRequest,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
    directory: Data<Directory>,
) -> Answer {
    let caller = identify(&http, admission.keys(), &limits.proxies)?;
    let streams = directory.list(&caller).await;
    let at_work = |model: &Model| streams.iter().any(|stream| stream.model == model.name);
    let all = models.catalog.models().iter();
    let busy: Vec<_> = all.filter(|model| at_work(model)).map(|model| listed(model)).collect();
    Ok(json(listing::ps_body(&busy)))
}

/// `POST /api/show`: what the Ollama that serves the model says of it, else what the gateway knows.
///
/// # Errors
/// [`ErrorKind::Unauthorized`], [`ErrorKind::ModelNotFound`], or what is wrong with the body.
pub async fn show(
    http: HttpRequest,
    mut payload: Payload,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
    worker: Data<Worker>,
) -> Answer {
    let caller = identify(&http, admission.keys(), &limits.proxies)?;
    admission.pace(&caller)?;
    let body = read_body::<OllamaChat>(&http, &mut payload, limits.body).await?;
    let name = listing::decode_show(&body)?;
    let all = models.catalog.models();
    let place = |name: &str| all.iter().position(|model| model.name == name);
    let index = place(&name).or_else(|| place(&other_name(&name)?));
    let Some((model, handle)) = index.and_then(|i| Some((all.get(i)?, worker.models.get(i)?)))
    else {
        let failure = Failure::new(ErrorKind::ModelNotFound, "no such model here; see /api/tags");
        return Err(failure.into());
    };
    // A model whose upstream does not answer is there all the same.
    let described = timeout(DESCRIBE_TIME, handle.lane.describe()).await.ok().flatten();
    Ok(json(listing::show_body(&listed(model), &started(&models), described.as_deref())))
}

/// `GET /api/version`: asked by machines before they have a key.
pub async fn version() -> HttpResponse {
    json(listing::version_body(env!("CARGO_PKG_VERSION")))
}

/// `GET /`, by which clients find out whether an Ollama is there.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Ollama is running")
}
