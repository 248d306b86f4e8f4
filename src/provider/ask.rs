//! What an upstream is asked, but for the body.

use actix_http::RequestHead;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use awc::error::{InvalidUrl, SendRequestError};

use crate::config::Secret;

/// A request but for its body. What does not change from one to the next is made once.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub uri: Uri,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Ask {
    /// A request to `url`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(method: Method, url: &str) -> Result<Self, SendRequestError> {
        let uri: Uri = url.parse().map_err(|_| SendRequestError::Url(InvalidUrl::MissingHost))?;
        let mut headers = Vec::new();
        headers.extend(host(&uri).map(|host| (HOST, host)));
        if method == Method::POST {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        Ok(Self { method, uri, headers })
    }

    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    #[must_use]
    pub fn head(&self) -> RequestHead {
        let mut head = RequestHead::default();
        head.method = self.method.clone();
        head.uri = self.uri.clone();
        for (name, value) in &self.headers {
            head.headers.insert(name.clone(), value.clone());
        }
        head
    }
}

/// A key as a header carries it.
///
/// # Errors
/// When it cannot be sent.
pub fn authorization(key: &Secret) -> Result<HeaderValue, SendRequestError> {
    let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
    let mut bearer = bearer.map_err(|error| SendRequestError::Http(error.into()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// The `Host` of a request, as awc would write it.
fn host(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let host = authority.host();
    let host = match authority.port_u16() {
        None | Some(80 | 443) => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    };
    HeaderValue::from_str(&host).ok()
}
