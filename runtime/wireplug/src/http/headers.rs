//! The headers of a request to a service, and of its response.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use crate::app::Request;
use crate::server::service_headers::{BIND, NODE, ROUTE, of_session};
use crate::session::Session;

/// The id of a request. A notification has none.
const REQUEST: &str = "Wireplug-Request";

/// The beginning of the header of an attribute.
const ATTRIBUTE: &str = "Wireplug-Attribute-";

/// What is percent-encoded in a value, besides everything that is not ASCII. Frameworks read other
/// bytes in different ways.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The headers that are the same for all requests to a service, and what the others are made of.
#[derive(Debug)]
pub(super) struct Headers {
    node: String,
    content_type: HeaderValue,
    /// The attributes that the service asks for, with their headers.
    attributes: Vec<(String, HeaderName)>,
}

impl Headers {
    /// Creates the headers for requests of the server `node`.
    ///
    /// # Errors
    /// Returns an error if the content type cannot be the value of a header.
    pub(super) fn new(node: &str, content_type: &str, attributes: &[String]) -> anyhow::Result<Self> {
        let named = attributes.iter().map(|attribute| (attribute.clone(), attribute_header(attribute)));
        Ok(Self { node: node.to_owned(), content_type: content_type.parse()?, attributes: named.collect() })
    }

    /// Returns the headers of a request.
    pub(super) fn of_request(&self, request: &Request) -> HeaderMap {
        let mut headers = self.of_session(&request.session);
        put(&mut headers, ROUTE, &request.route);
        if let Some(id) = request.id {
            put(&mut headers, REQUEST, &id.to_string());
        }
        headers
    }

    /// Returns the headers of events, each of which has its session in the body.
    pub(super) fn of_events(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        put(&mut headers, NODE, &self.node);
        headers
    }

    /// Returns the headers that tell the service about a session.
    pub(super) fn of_session(&self, session: &Session) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        of_session(session, &self.node, |name, value| put(&mut headers, name, value));
        let client = session.client();
        for (attribute, header) in &self.attributes {
            if let Some((_, value)) = client.attributes.iter().find(|(name, _)| name == attribute) {
                headers.insert(header, encoded(value));
            }
        }
        headers
    }
}

/// Returns the user that a response to a hello names.
pub(super) fn bind(headers: &HeaderMap) -> Option<Bytes> {
    let name = headers.get(BIND)?;
    Some(Bytes::from(percent_decode(name.as_bytes()).collect::<Vec<_>>()))
}

/// Sets a header to a text of any content.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name of this crate");
    headers.insert(name, encoded(value));
}

fn encoded(value: &str) -> HeaderValue {
    let text = utf8_percent_encode(value, ENCODED).to_string();
    HeaderValue::try_from(text).expect("what remains is visible ASCII")
}

/// Returns the header of an attribute: `Wireplug-Attribute-Tls-Sni` for `tls-sni`, in lower case.
fn attribute_header(attribute: &str) -> HeaderName {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = ATTRIBUTE.chars().chain(attribute.chars().map(plain)).collect();
    HeaderName::from_bytes(name.as_bytes()).expect("letters, digits and - are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_ascii_in_one_line() {
        let value = |text: &str| encoded(text).to_str().expect("it is ASCII").to_owned();
        assert_eq!(value("ann@example.com, the 1st"), "ann@example.com, the 1st");
        assert_eq!(value("wörld\r\nX: 100%\x7f"), "w%C3%B6rld%0D%0AX: 100%25%7F");
        assert_eq!(value(""), "");
    }

    #[test]
    fn a_user_is_read_as_it_was_written() {
        let read = |value: HeaderValue| bind(&HeaderMap::from_iter([(BIND.parse().expect("a name"), value)]));
        for user in ["ann", "zoë 100% ,;\"", "\u{1f600}"] {
            assert_eq!(read(encoded(user)).as_deref(), Some(user.as_bytes()));
        }
        let plain = HeaderValue::from_bytes("zoë".as_bytes()).expect("it has no control character");
        assert_eq!(read(plain).as_deref(), Some("zoë".as_bytes()), "it need not be encoded");
        assert_eq!(bind(&HeaderMap::new()), None);
    }

    #[test]
    fn each_attribute_has_a_header() {
        assert_eq!(attribute_header("tls-sni"), "wireplug-attribute-tls-sni");
        assert_eq!(attribute_header("header:x-änd"), "wireplug-attribute-header-x--nd");
    }
}
