//! One request at one URL, and its response.

use std::error::Error as _;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderMap, LOCATION};
use hyper::{Method, Response, Uri};

use super::client::HttpClient;
use super::failure::{Cause, Failure};
use wireplug_base::Chain;
use wireplug_base::units::size_text;

/// Sends a request, and returns the response, whose body has at most `max` bytes.
pub(super) async fn exchange(
    client: &HttpClient,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    max: usize,
) -> Result<Response<Bytes>, Failure> {
    let mut request = hyper::Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
    let response = client.request(request).await.map_err(|error| {
        // Without a connection, nothing was sent.
        let cause = if error.is_connect() { Cause::Unreachable } else { Cause::Broken };
        // The error itself only has the name of a step of the client.
        let why = error.source().map_or_else(|| error.to_string(), |why| Chain::of(why).to_string());
        Failure::new(cause, why)
    })?;
    let status = response.status();
    if status.is_informational() || status.is_redirection() || status.as_u16() >= 600 {
        let to = response.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()));
        let to = to.map(|to| format!(", which leads to {to}")).unwrap_or_default();
        let rule = "redirects, and statuses below 200 or above 599, are not accepted";
        let why = format!("it answered with the status {}{to}: {rule}", status.as_u16());
        return Err(Failure::new(Cause::Status, why));
    }
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, read(body, max).await?))
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, Failure> {
    let too_large = || {
        let why = format!("the response is larger than `http.max-response`, {}", size_text(max));
        Failure::new(Cause::TooLarge, why)
    };
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            let why = format!("the body of the response is incomplete or malformed: {}", Chain::of(&*error));
            Err(Failure::new(Cause::Broken, why))
        }
    }
}
