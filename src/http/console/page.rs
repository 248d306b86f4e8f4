//! The page's files, which are part of the program, and the headers that keep everything else out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, EntityTag, Header, HeaderName, IfNoneMatch,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::board::Console;
use super::not_there;
use crate::http::error::ApiError;
use crate::http::native::Native;
use crate::http::offer::Here;

/// Only what the gateway itself serves: no script in the page's text, no other site, no frame, and
/// no text that becomes markup (trusted types), whatever a model or a name says.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file of the page, made from the sources in `console/`.
struct File {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// Changes with the content, so that a browser asks for it anew.
    tag: LazyLock<EntityTag>,
}

macro_rules! file {
    ($name:literal, $content_type:literal) => {
        File {
            name: $name,
            content_type: $content_type,
            content: include_str!(concat!("built/", $name)),
            tag: LazyLock::new(|| tag_of(include_str!(concat!("built/", $name)))),
        }
    };
}

static INDEX: File = file!("index.html", "text/html; charset=utf-8");
static FILES: [File; 3] = [
    file!("console.js", "text/javascript; charset=utf-8"),
    file!("console.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
];

fn tag_of(content: &str) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    EntityTag::new_strong(format!("{:016x}", hasher.finish()))
}

/// `GET /`
pub(super) async fn index(
    http: HttpRequest,
    here: Here,
    console: Data<Console>,
) -> Result<HttpResponse, ApiError<Native>> {
    console.reach(&http, &here)?;
    Ok(serve(&INDEX, &http))
}

/// `GET /console/{file}`
pub(super) async fn file(
    http: HttpRequest,
    name: Path<String>,
    here: Here,
    console: Data<Console>,
) -> Result<HttpResponse, ApiError<Native>> {
    console.reach(&http, &here)?;
    let file = FILES.iter().find(|file| file.name == *name).ok_or_else(not_there)?;
    Ok(serve(file, &http))
}

fn serve(file: &File, http: &HttpRequest) -> HttpResponse {
    let is_known = match IfNoneMatch::parse(http) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&file.tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    protect(&mut response);
    response
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((ETAG, file.tag.clone()))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return response.finish();
    }
    response.content_type(file.content_type).body(file.content)
}

/// What holds for all that the console is answered with.
pub(super) fn protect(response: &mut HttpResponseBuilder) {
    response
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((OPENER_POLICY, "same-origin"))
        .insert_header((RESOURCE_POLICY, "same-origin"))
        .insert_header((CACHE_CONTROL, "no-store"));
}
