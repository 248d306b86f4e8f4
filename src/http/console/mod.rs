//! The console: a page at `/`, and the one event stream that feeds it.
//!
//! - `page`: the page's files, and what a browser may do with them.
//! - [`board`]: what all pages share, and the task that writes it once a second.
//! - `second`: what is written.
//! - `feed`: the event stream of one page; `settings`: the configuration in effect.

pub mod board;
mod feed;
mod page;
mod second;
mod settings;

use actix_web::web::{self, ServiceConfig};
use tidegate_protocol::{ErrorKind, Failure};

pub use board::Console;

use super::error::method_not_allowed;
use super::native::Native;

/// The routes of the console.
pub fn configure(app: &mut ServiceConfig) {
    app.service(reads("/").route(web::get().to(page::index)))
        .service(reads("/console/{file}").route(web::get().to(page::file)))
        .service(reads("/api/console/events").route(web::get().to(feed::events)))
        .service(reads("/api/console/config").route(web::get().to(settings::show)));
}

fn reads(path: &str) -> actix_web::Resource {
    let other = || async { method_not_allowed::<Native>("GET") };
    web::resource(path).default_service(web::to(other))
}

/// As any other path that is not there.
fn not_there() -> Failure {
    Failure::new(ErrorKind::NotFound, "no such endpoint; see /openapi.json")
}
