//! The models there are.

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tidegate_protocol::openai as wire;

use super::caller::identify;
use super::chat::ChatLimits;
use super::error::ApiError;
use super::native::Native;
use super::openai::OpenAi;
use crate::admission::Admission;
use crate::backend::{Health, Reachability};
use crate::config::{Model, ProviderKind};
use crate::routing::Catalog;

/// The models and the health of their upstreams, in the catalog's order.
pub struct Models {
    pub catalog: Arc<Catalog>,
    pub health: Vec<Arc<Health>>,
    /// Unix time in seconds at which the gateway started.
    pub started: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    name: String,
    provider: &'static str,
    r#type: &'static str,
    active: bool,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    max_concurrency: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl Models {
    /// Every model with the state of its upstream.
    #[must_use]
    pub fn describe(&self) -> Vec<ModelInfo> {
        let active = self.catalog.active().map(|model| model.name.clone());
        let models = self.catalog.models().iter().zip(&self.health);
        models.map(|(model, health)| describe(model, &health.get(), active.as_deref())).collect()
    }
}

fn describe(model: &Model, health: &Reachability, active: Option<&str>) -> ModelInfo {
    let reason = match health {
        Reachability::Unreachable(why) => Some(why.clone()),
        _ => None,
    };
    let builtin = model.provider == ProviderKind::Builtin;
    ModelInfo {
        name: model.name.clone(),
        provider: model.provider.as_str(),
        r#type: model.model_type.as_str(),
        active: Some(model.name.as_str()) == active,
        status: health.as_str(),
        reason,
        max_concurrency: model.max_concurrency,
        note: builtin.then_some("a small deterministic demo model inside the gateway, not an LLM"),
    }
}

#[derive(Serialize)]
struct ModelList {
    models: Vec<ModelInfo>,
}

/// `GET /api/models`
///
/// # Errors
/// [`ErrorKind::Unauthorized`](tidegate_protocol::ErrorKind::Unauthorized).
pub async fn list(
    http: HttpRequest,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
) -> Result<HttpResponse, ApiError<Native>> {
    identify(&http, admission.keys(), &limits.proxies)?;
    Ok(HttpResponse::Ok().json(ModelList { models: models.describe() }))
}

/// `GET /v1/models`
///
/// # Errors
/// [`ErrorKind::Unauthorized`](tidegate_protocol::ErrorKind::Unauthorized).
pub async fn list_openai(
    http: HttpRequest,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
) -> Result<HttpResponse, ApiError<OpenAi>> {
    identify(&http, admission.keys(), &limits.proxies)?;
    let catalog = models.catalog.models().iter();
    let names: Vec<_> =
        catalog.map(|model| (model.name.clone(), model.provider.as_str().to_owned())).collect();
    let body = wire::models_body(&names, models.started);
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

/// `GET /v1/models/{model}`
///
/// # Errors
/// [`ErrorKind::Unauthorized`](tidegate_protocol::ErrorKind::Unauthorized), or
/// [`ErrorKind::ModelNotFound`](tidegate_protocol::ErrorKind::ModelNotFound).
pub async fn show_openai(
    http: HttpRequest,
    name: Path<String>,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    models: Data<Models>,
) -> Result<HttpResponse, ApiError<OpenAi>> {
    identify(&http, admission.keys(), &limits.proxies)?;
    let model = models.catalog.find(&name)?;
    let body = wire::model_body(&model.name, model.provider.as_str(), models.started);
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}
