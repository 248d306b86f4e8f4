//! The route table.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use tidegate_protocol::{ErrorKind, Failure};

use super::anthropic::Anthropic;
use super::anthropic_count::count_tokens;
use super::chat::chat;
use super::error::{failure_response, method_not_allowed};
use super::native::Native;
use super::ollama::OllamaChat;
use super::openai::{Completions, Embeddings, OpenAi};
use super::{attach, console, models, ollama_routes, responses, socket, status, streams};

/// Every endpoint: method and path, as the OpenAPI document must list them. The path of the
/// metrics is configurable; this is its default.
pub const ROUTES: [(&str, &str); 35] = [
    ("post", "/api/chat"),
    ("get", "/api/chat/streams"),
    ("get", "/api/chat/{id}"),
    ("delete", "/api/chat/{id}"),
    ("get", "/api/ws"),
    ("get", "/api/models"),
    ("post", "/v1/chat/completions"),
    ("post", "/v1/completions"),
    ("post", "/v1/embeddings"),
    ("post", "/v1/messages"),
    ("post", "/v1/messages/count_tokens"),
    ("post", "/ollama/api/chat"),
    ("post", "/ollama/api/generate"),
    ("post", "/ollama/api/embed"),
    ("post", "/ollama/api/embeddings"),
    ("get", "/ollama/api/tags"),
    ("post", "/ollama/api/show"),
    ("get", "/ollama/api/ps"),
    ("get", "/ollama/api/version"),
    ("get", "/ollama/"),
    ("post", "/v1/responses"),
    ("get", "/v1/responses/{id}"),
    ("delete", "/v1/responses/{id}"),
    ("post", "/v1/responses/{id}/cancel"),
    ("get", "/v1/responses/{id}/input_items"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{model}"),
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/"),
    ("get", "/console/{file}"),
    ("get", "/api/console/events"),
    ("get", "/api/console/config"),
];

/// The API's description, also served at `/openapi.json`.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The routes of the main listener. They are tried in this order: what is called most comes first,
/// the one whose path must be matched by a pattern last.
pub fn configure(app: &mut ServiceConfig) {
    app.service(
        web::resource("/api/chat")
            .route(web::post().to(chat::<Native>))
            .default_service(web::to(|| async { method_not_allowed::<Native>("POST") })),
    )
    .service(
        web::resource("/v1/chat/completions")
            .route(web::post().to(chat::<OpenAi>))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("POST") })),
    )
    .service(
        web::resource("/v1/completions")
            .route(web::post().to(chat::<OpenAi<Completions>>))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("POST") })),
    )
    .service(
        web::resource("/v1/embeddings")
            .route(web::post().to(chat::<OpenAi<Embeddings>>))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("POST") })),
    )
    .service(
        web::resource("/v1/messages")
            .route(web::post().to(chat::<Anthropic>))
            .default_service(web::to(|| async { method_not_allowed::<Anthropic>("POST") })),
    )
    .configure(ollama_routes::configure)
    .service(
        web::resource("/v1/messages/count_tokens")
            .route(web::post().to(count_tokens))
            .default_service(web::to(|| async { method_not_allowed::<Anthropic>("POST") })),
    )
    .service(
        web::resource("/v1/responses")
            .route(web::post().to(responses::create))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("POST") })),
    )
    .service(
        web::resource("/api/chat/streams")
            .route(web::get().to(streams::list))
            .default_service(web::to(|| async { method_not_allowed::<Native>("GET") })),
    )
    .service(get_only::<Native>("/api/ws").route(web::get().to(socket::connect)))
    .service(get_only::<Native>("/api/models").route(web::get().to(models::list)))
    .service(get_only::<OpenAi>("/v1/models").route(web::get().to(models::list_openai)))
    .service(get_only::<Native>("/health").route(web::get().to(status::health)))
    .service(get_only::<Native>("/ready").route(web::get().to(status::ready)))
    .service(get_only::<Native>("/openapi.json").route(web::get().to(openapi)))
    // Names with a slash too; the first pattern is the one that metrics name.
    .service(
        web::resource(["/v1/models/{model}", "/v1/models/{model:.+}"])
            .route(web::get().to(models::show_openai))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("GET") })),
    )
    .service(
        web::resource("/api/chat/{id}")
            .route(web::get().to(attach::resume))
            .route(web::delete().to(streams::cancel))
            .default_service(web::to(|| async { method_not_allowed::<Native>("GET, DELETE") })),
    )
    .configure(kept_responses)
    .configure(console::configure)
    .default_service(web::to(not_found));
}

fn kept_responses(app: &mut ServiceConfig) {
    app.service(
        web::resource("/v1/responses/{id}")
            .route(web::get().to(responses::kept::retrieve))
            .route(web::delete().to(responses::kept::delete))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("GET, DELETE") })),
    )
    .service(
        web::resource("/v1/responses/{id}/cancel")
            .route(web::post().to(responses::kept::cancel))
            .default_service(web::to(|| async { method_not_allowed::<OpenAi>("POST") })),
    )
    .service(
        get_only::<OpenAi>("/v1/responses/{id}/input_items")
            .route(web::get().to(responses::kept::input_items)),
    );
}

/// The metrics, on the main listener or on their own.
pub fn configure_metrics(app: &mut ServiceConfig, path: &str) {
    app.service(get_only::<Native>(path).route(web::get().to(status::metrics)));
}

fn get_only<D: super::dialect::Dialect>(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(|| async { method_not_allowed::<D>("GET") }))
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(OPENAPI)
}

/// Clients of a dialect get its own kind of error.
async fn not_found(http: HttpRequest) -> HttpResponse {
    let failure = Failure::new(ErrorKind::NotFound, "no such endpoint; see /openapi.json");
    failure_of_path(http.path(), &failure)
}

/// The response that tells `failure` in the dialect of those who ask for such a path.
#[must_use]
pub fn failure_of_path(path: &str, failure: &Failure) -> HttpResponse {
    if is_ollama(path) {
        failure_response::<OllamaChat>(failure)
    } else if is_anthropic(path) {
        failure_response::<Anthropic>(failure)
    } else if path.starts_with("/v1/") {
        failure_response::<OpenAi>(failure)
    } else {
        failure_response::<Native>(failure)
    }
}

fn is_ollama(path: &str) -> bool {
    let below = path.strip_prefix(ollama_routes::PREFIX);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether Anthropic's clients ask for such a path.
#[must_use]
pub fn is_anthropic(path: &str) -> bool {
    path.strip_prefix("/v1/messages").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
