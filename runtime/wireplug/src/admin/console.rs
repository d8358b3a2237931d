//! The console: a page in the browser that shows what the control API reports, and changes what it
//! changes.
//!
//! The page is built from `console/` of this crate, and embedded in the binary. It loads nothing
//! from elsewhere. A person logs in with a token of the control API, and gets a cookie that only
//! requests of the page itself carry.
//!
//! | file | its job |
//! |---|---|
//! | `login` | login, logout, and the question who is logged in |
//! | `origin` | whether a request comes from the page itself |
//! | `sessions` | who is logged in, and for how long |

mod login;
mod origin;
mod sessions;

use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

pub(super) use self::origin::{SEC_FETCH_SITE, is_of_the_page};
pub(super) use self::sessions::ConsoleSessions;
use super::access::Access;
use crate::codec::Digest;

/// What the page may load and where it may send to: its own origin. No other page may show it in a
/// frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// The files that `cargo xtask console` builds.
const ASSETS: [Asset; 3] = [
    Asset {
        path: "/console/",
        content_type: "text/html; charset=utf-8",
        content: include_bytes!("../../console/dist/index.html"),
    },
    Asset {
        path: "/console/console.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../console/dist/console.js"),
    },
    Asset {
        path: "/console/console.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../../console/dist/console.css"),
    },
];

/// The paths of the console. The files need no token, because they contain no secret.
pub(super) fn routes(access: Arc<Access>) -> Router {
    let mut router = Router::new()
        .route("/console", get(async || Redirect::permanent("/console/")))
        .route("/console/login", post(login::log_in))
        .route("/console/logout", post(login::log_out))
        .route("/console/session", get(login::who))
        .with_state(access);
    for asset in ASSETS {
        // A browser keeps the file, and asks each time whether it is still current.
        let tag = format!("\"{}\"", Digest::of(asset.content));
        router = router.route(asset.path, get(move |headers| ready(asset.answer(&headers, &tag))));
    }
    router
}

impl Asset {
    fn answer(self, headers: &HeaderMap, tag: &str) -> Response {
        let common = [(CACHE_CONTROL, "no-cache"), (ETAG, tag)];
        if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        (common, [(CONTENT_TYPE, self.content_type)], self.content).into_response()
    }
}

/// Adds the headers that make browsers careful with every answer, also with those that are not
/// files of the page.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
