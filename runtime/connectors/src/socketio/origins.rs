//! Decides which pages may connect, by the listener's list of origins. The list applies to both
//! transports. The module also sets the headers that report the decision to browsers (CORS).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Response, StatusCode};

/// The origins whose pages may connect. If the list is empty, all pages may. Browsers then get no
/// CORS headers, so they hide the answers from pages of other origins.
#[derive(Clone)]
pub(super) struct Origins(pub(super) Vec<String>);

/// The error if the origin of the request may not connect.
#[derive(Debug)]
pub(super) struct Refused;

impl Origins {
    /// Returns the origin that may see the answer to a request with these headers. A request
    /// without an origin is accepted, since only browsers send one.
    ///
    /// # Errors
    /// Returns an error if the origin is not on the list, or if there are several origins, since
    /// none of them can be trusted.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refused> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let (origin, another) = (origins.next(), origins.next());
        let Some(origin) = origin else { return Ok(None) };
        let is_listed = |origin: &str| self.0.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
        match origin.to_str() {
            Ok(text) if another.is_none() && is_listed(text) => Ok(Some(origin.clone())),
            _ => Err(Refused),
        }
    }

    /// Sets the headers that tell a browser whether the page may see the answer.
    pub(super) fn allow(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.0.is_empty() {
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            // A load balancer may use a cookie to find the server of a session.
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Returns the answer to a preflight request of a browser.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(origins: &[&str]) -> HeaderMap {
        origins.iter().map(|origin| (ORIGIN, HeaderValue::from_str(origin).expect("a value"))).collect()
    }

    #[test]
    fn a_listed_origin_is_admitted_and_named_in_the_response() {
        let origins = Origins(vec!["https://example.org".to_owned()]);
        assert!(matches!(origins.judge(&origin(&[])), Ok(None)));
        let listed = origins.judge(&origin(&["https://EXAMPLE.org"])).expect("it is listed");
        let mut headers = HeaderMap::new();
        origins.allow(listed, &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://EXAMPLE.org");
        for refused in [&["https://example.org", "https://example.org"][..], &["https://evil.org"], &["null"]]
        {
            assert!(origins.judge(&origin(refused)).is_err(), "{refused:?}");
        }
        let anybody = Origins(Vec::new());
        assert!(matches!(anybody.judge(&origin(&["https://evil.org"])), Ok(None)));
    }
}
