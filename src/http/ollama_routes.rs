//! Where Ollama's API stands: below a prefix on the main listener, at the root of its own.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, Resource};
use tidegate_protocol::{ErrorKind, Failure};

use super::chat::chat;
use super::dialect::Dialect;
use super::error::{failure_response, method_not_allowed};
use super::ollama::{OllamaChat, OllamaEmbed, OllamaEmbeddings, OllamaGenerate};
use super::ollama_models as models;

/// Below it the main listener speaks as Ollama does.
pub const PREFIX: &str = "/ollama";

/// What Ollama's own clients do to a server's models.
const MANAGEMENT: [&str; 6] = ["pull", "push", "create", "copy", "delete", "blobs"];

/// The routes below [`PREFIX`].
pub fn configure(app: &mut ServiceConfig) {
    app.service(
        web::scope(PREFIX)
            .service(answers::<OllamaChat>("/api/chat"))
            .service(answers::<OllamaGenerate>("/api/generate"))
            .service(answers::<OllamaEmbed>("/api/embed"))
            .service(answers::<OllamaEmbeddings>("/api/embeddings"))
            .service(read("/api/tags").route(web::get().to(models::tags)))
            .service(read("/api/ps").route(web::get().to(models::running)))
            .service(read("/api/version").route(web::get().to(models::version)))
            .service(
                web::resource("/api/show").route(web::post().to(models::show)).default_service(
                    web::to(|| async { method_not_allowed::<OllamaChat>("POST") }),
                ),
            )
            .service(
                web::resource(["", "/"])
                    .route(web::get().to(models::alive))
                    .route(web::head().to(models::alive))
                    .default_service(web::to(|| async {
                        method_not_allowed::<OllamaChat>("GET, HEAD")
                    })),
            )
            .default_service(web::to(elsewhere)),
    );
}

fn answers<D: Dialect>(path: &str) -> Resource {
    web::resource(path)
        .route(web::post().to(chat::<D>))
        .default_service(web::to(|| async { method_not_allowed::<D>("POST") }))
}

fn read(path: &str) -> Resource {
    web::resource(path)
        .default_service(web::to(|| async { method_not_allowed::<OllamaChat>("GET") }))
}

async fn elsewhere(http: HttpRequest) -> HttpResponse {
    let path = http.path().strip_prefix(PREFIX).unwrap_or_default();
    let word = path.strip_prefix("/api/").and_then(|rest| rest.split('/').next());
    let failure = if word.is_some_and(|word| MANAGEMENT.contains(&word)) {
        let message = "models are not managed here, but in the gateway's configuration";
        Failure::new(ErrorKind::InvalidRequest, message)
    } else {
        Failure::new(ErrorKind::NotFound, "no such endpoint; see /openapi.json of the gateway")
    };
    failure_response::<OllamaChat>(&failure)
}

/// The middleware of a listener on which [`PREFIX`] goes without saying.
///
/// # Errors
/// Passes the inner service's error on.
pub async fn at_the_root(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(uri) = below_prefix(request.uri()) else {
        let failure = Failure::new(ErrorKind::NotFound, "no such endpoint");
        return Ok(request.into_response(failure_response::<OllamaChat>(&failure)));
    };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    Ok(next.call(request).await?.map_into_boxed_body())
}

fn below_prefix(uri: &Uri) -> Option<Uri> {
    let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{PREFIX}{asked}").parse().ok()?);
    Uri::from_parts(parts).ok()
}
