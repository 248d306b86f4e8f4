//! The models there are.

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tidegate_protocol::openai as wire;

use super::caller::identify;
use super::error::ApiError;
use super::fleets::{FleetView, TargetInfo, told};
use super::native::Native;
use super::offer::Here;
use super::openai::OpenAi;
use super::worker::Worker;
use crate::config::{Model, ProviderKind};
use crate::routing::Catalog;

/// The models and the state of their targets, in the catalog's order.
pub struct Models {
    pub catalog: Arc<Catalog>,
    pub fleets: Vec<FleetView>,
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
    policy: &'static str,
    targets: Vec<TargetInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl Models {
    /// Brings the metrics of all targets up to date.
    pub fn measure(&self) {
        self.fleets.iter().for_each(FleetView::measure);
    }

    /// Every model with the state of its targets.
    #[must_use]
    pub fn describe(&self) -> Vec<ModelInfo> {
        let active = self.catalog.active().map(|model| model.name.clone());
        let models = self.catalog.models().iter().zip(&self.fleets);
        models.map(|(model, fleet)| describe(model, fleet, active.as_deref())).collect()
    }
}

fn describe(model: &Model, view: &FleetView, active: Option<&str>) -> ModelInfo {
    let (status, reason) = told(&view.reachability());
    let builtin = model.targets.iter().any(|target| target.provider == ProviderKind::Builtin);
    ModelInfo {
        name: model.name.clone(),
        provider: model.provider(),
        r#type: model.model_type.as_str(),
        active: Some(model.name.as_str()) == active,
        status,
        reason,
        max_concurrency: model.max_concurrency(),
        policy: model.routing.policy.as_str(),
        targets: view.describe(&model.targets),
        note: builtin.then_some("a small deterministic demo model inside the gateway, not an LLM"),
    }
}

#[derive(Serialize)]
struct ModelList {
    /// Of the configuration that they are of.
    generation: u64,
    /// Whether streams are kept, for clients to come back to.
    resumable: bool,
    models: Vec<ModelInfo>,
}

/// `GET /api/models`
///
/// # Errors
/// [`ErrorKind::Unauthorized`](tidegate_protocol::ErrorKind::Unauthorized).
pub async fn list(
    http: HttpRequest,
    here: Here,
    worker: Data<Worker>,
) -> Result<HttpResponse, ApiError<Native>> {
    identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let resumable = worker.journals.limits().is_on();
    let (generation, models) = (here.generation, here.listed.describe());
    Ok(HttpResponse::Ok().json(ModelList { generation, resumable, models }))
}

/// `GET /v1/models`
///
/// # Errors
/// [`ErrorKind::Unauthorized`](tidegate_protocol::ErrorKind::Unauthorized).
pub async fn list_openai(http: HttpRequest, here: Here) -> Result<HttpResponse, ApiError<OpenAi>> {
    identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let catalog = here.listed.catalog.models().iter();
    let names: Vec<_> =
        catalog.map(|model| (model.name.clone(), model.provider().to_owned())).collect();
    let body = wire::models_body(&names, here.listed.started);
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
    here: Here,
) -> Result<HttpResponse, ApiError<OpenAi>> {
    identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let model = here.listed.catalog.find(&name)?;
    let body = wire::model_body(&model.name, model.provider(), here.listed.started);
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}
