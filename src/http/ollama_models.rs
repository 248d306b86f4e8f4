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
use super::error::ApiError;
use super::models::Models;
use super::offer::Here;
use super::ollama::{OllamaChat, other_name};
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
pub async fn tags(http: HttpRequest, here: Here) -> Answer {
    identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let all: Vec<_> = here.listed.catalog.models().iter().map(|model| listed(model)).collect();
    Ok(json(listing::tags_body(&all, &started(&here.listed))))
}

/// `GET /api/ps`: the models at work for the caller.
///
/// # Errors
/// [`ErrorKind::Unauthorized`].
pub async fn running(http: HttpRequest, here: Here, directory: Data<Directory>) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let streams = directory.list(&caller).await;
    let at_work = |model: &Model| streams.iter().any(|stream| stream.model == model.name);
    let all = here.listed.catalog.models().iter();
    let busy: Vec<_> = all.filter(|model| at_work(model)).map(|model| listed(model)).collect();
    Ok(json(listing::ps_body(&busy)))
}

/// `POST /api/show`: what the Ollama that serves the model says of it, else what the gateway knows.
///
/// # Errors
/// [`ErrorKind::Unauthorized`], [`ErrorKind::ModelNotFound`], or what is wrong with the body.
pub async fn show(http: HttpRequest, mut payload: Payload, here: Here) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    here.admission.pace(&caller)?;
    let body = read_body::<OllamaChat>(&http, &mut payload, here.limits.body).await?;
    let name = listing::decode_show(&body)?;
    let all = here.listed.catalog.models();
    let place = |name: &str| all.iter().position(|model| model.name == name);
    let index = place(&name).or_else(|| place(&other_name(&name)?));
    let Some((model, handle)) = index.and_then(|i| Some((all.get(i)?, here.model_at(i)?))) else {
        let failure = Failure::new(ErrorKind::ModelNotFound, "no such model here; see /api/tags");
        return Err(failure.into());
    };
    // A model whose upstream does not answer is there all the same.
    let described = timeout(DESCRIBE_TIME, handle.lane.describe()).await.ok().flatten();
    Ok(json(listing::show_body(&listed(model), &started(&here.listed), described.as_deref())))
}

/// `GET /api/version`: asked by machines before they have a key.
pub async fn version() -> HttpResponse {
    json(listing::version_body(env!("CARGO_PKG_VERSION")))
}

/// `GET /`, by which clients find out whether an Ollama is there.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Ollama is running")
}
