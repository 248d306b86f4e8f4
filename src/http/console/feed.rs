//! The event stream of one page: what there was, then every second what there is, to the gateway's
//! end.

use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest, HttpResponse};
use futures::stream;

use super::board::{Console, Seat, Update};
use super::page::protect;
use crate::config::Secret;
use crate::http::caller::{client_address, presented};
use crate::http::error::ApiError;
use crate::http::event_stream::ACCEL_BUFFERING;
use crate::http::native::Native;
use crate::http::offer::Here;
use crate::http::socket::visitor::Visitor;

const END: &[u8] = b"event: console.end\ndata: {}\n\n";

/// `GET /api/console/events`
///
/// # Errors
/// As [`Console::admit`]; [`ErrorKind::ConnectionLimit`](tidegate_protocol::ErrorKind::ConnectionLimit) where too
/// many pages are open.
pub(super) async fn events(
    http: HttpRequest,
    here: Here,
    console: Data<Console>,
) -> Result<HttpResponse, ApiError<Native>> {
    let caller = console.admit(&http, &here)?;
    let keys = presented(http.headers()).map(|key| Secret::new(key.to_owned())).collect();
    let address = client_address(&http, &here.limits.proxies);
    let seat = console.seat(&caller)?;
    let visitor = Visitor::new(keys, address, Some(caller), here.generation);
    let seat = Seated { seat, visitor, console };
    let body = stream::unfold(Place::Door(seat), |place| async move {
        let (bytes, place) = place.next().await?;
        Some((Ok::<_, Error>(bytes), place))
    });
    let mut response = HttpResponse::Ok();
    protect(&mut response);
    response.content_type("text/event-stream").insert_header((ACCEL_BUFFERING, "no"));
    Ok(response.streaming(Box::pin(body)))
}

/// A page that is let in.
struct Seated {
    seat: Seat,
    /// Its key may be one no more.
    visitor: Visitor,
    console: Data<Console>,
}

/// How far a page is.
enum Place {
    /// It has been told nothing yet.
    Door(Seated),
    Seated(Seated),
    Gone,
}

impl Place {
    async fn next(self) -> Option<(Bytes, Self)> {
        let mut page = match self {
            Self::Door(page) => return Some((page.seat.hello.clone(), Self::Seated(page))),
            Self::Seated(page) => page,
            Self::Gone => return None,
        };
        // One that came when all was over would wait for ever.
        let updates = &mut page.seat.updates;
        let mut update = updates.borrow().clone();
        while !matches!(update, Update::End) {
            if updates.changed().await.is_err() {
                break;
            }
            update = updates.borrow_and_update().clone();
            if let Update::Second(second) = update {
                let is_welcome = page.console.still_admits(&mut page.visitor);
                return is_welcome.then_some((second, Self::Seated(page)));
            }
        }
        Some((Bytes::from_static(END), Self::Gone))
    }
}
