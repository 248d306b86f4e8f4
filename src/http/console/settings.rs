//! The configuration in effect, as `tidegate check` prints it.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::board::Console;
use super::page::protect;
use crate::http::error::ApiError;
use crate::http::native::Native;
use crate::http::offer::Here;

#[derive(Serialize)]
struct Settings<'a> {
    settings: Vec<Setting<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    key: &'a str,
    /// As TOML writes it; asterisks for a secret.
    value: &'a str,
    source: String,
}

/// `GET /api/console/config`
///
/// # Errors
/// As [`Console::admit`].
pub(super) async fn show(
    http: HttpRequest,
    here: Here,
    console: Data<Console>,
) -> Result<HttpResponse, ApiError<Native>> {
    console.admit(&http, &here)?;
    let settings = here.shown.0.iter().map(|setting| Setting {
        key: &setting.key,
        value: &setting.value,
        source: setting.source.to_string(),
    });
    let mut response = HttpResponse::Ok();
    protect(&mut response);
    Ok(response.json(Settings { settings: settings.collect() }))
}
