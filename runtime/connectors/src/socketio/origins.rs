//! Which pages may connect: the listener's list of origins, over both transports, and the
//! headers that report it to browsers (CORS).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Response, StatusCode};

/// The origins whose pages may connect. Empty: all. Browsers then get no header about it, so
/// they keep the answers to requests from pages of other origins.
pub(super) struct Origins(pub(super) Vec<String>);

/// The origin of the request is not let in.
#[derive(Debug)]
pub(super) struct Refused;

impl Origins {
    /// The origin that is to be allowed to see the answer to a request with these headers.
    ///
    /// # Errors
    /// Returns an error if it is not on the list. Of several origins there is none that could be
    /// believed. A client that names none is let in: only browsers do.
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

    /// Tells a browser that the page may see the answer.
    pub(super) fn allow(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.0.is_empty() {
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            // A load balancer may know the session's server by a cookie.
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// The answer to a browser that asks before it sends a request.
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
