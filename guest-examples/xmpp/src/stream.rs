//! What both sides say about the stream itself: headers, features and errors. RFC 6120, section 4,
//! and RFC 7395.

use std::borrow::Cow;

use crate::element::{Element, is_char};

/// The namespace of the stream itself.
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
/// The namespace of stanzas.
pub(crate) const CLIENT: &str = "jabber:client";
pub(crate) const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
pub(crate) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(crate) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub(crate) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// The namespace of the elements that begin and end a stream over WebSocket.
const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// The longest text of an error, in characters.
const MAX_TEXT: usize = 256;

/// How a stream travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One long document: RFC 6120.
    Document,
    /// An element in each message: RFC 7395.
    Messages,
}

/// An error that ends the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The name of the condition in section 4.9.3 of RFC 6120.
    pub(crate) condition: &'static str,
    pub(crate) reason: Cow<'static, str>,
}

impl Broken {
    pub(crate) fn new(condition: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { condition, reason: reason.into() }
    }

    pub(crate) fn element(&self) -> Element {
        // A reason may quote anything.
        let quotable = |c| if is_char(c) { c } else { char::REPLACEMENT_CHARACTER };
        let text: String = self.reason.chars().take(MAX_TEXT).map(quotable).collect();
        Element::new(STREAM, "error")
            .child(Element::new(STREAM_ERRORS, self.condition))
            .child(Element::new(STREAM_ERRORS, "text").with("xml:lang", "en").text(&text))
    }
}

impl Form {
    /// Returns the default namespace around each element.
    pub(crate) const fn default_namespace(self) -> &'static str {
        match self {
            Self::Document => CLIENT,
            Self::Messages => "",
        }
    }

    /// Returns whether an element begins a stream of this form.
    pub(crate) fn is_header(self, element: &Element) -> bool {
        match self {
            Self::Document => element.is(STREAM, "stream"),
            Self::Messages => element.is(FRAMING, "open"),
        }
    }

    /// Returns whether an element ends a stream of this form. In a document it is the end tag.
    pub(crate) fn is_end(self, element: &Element) -> bool {
        self == Self::Messages && element.is(FRAMING, "close")
    }

    /// Writes the header of the server.
    pub(crate) fn write_header(self, domain: &str, id: &str, out: &mut Vec<u8>) {
        let header = match self {
            Self::Document => {
                format!("<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}'")
            }
            Self::Messages => format!("<open xmlns='{FRAMING}'"),
        };
        let end = if self == Self::Document { ">" } else { "/>" };
        let header = format!("{header} from='{domain}' id='{id}' version='1.0' xml:lang='en'{end}");
        out.extend_from_slice(header.as_bytes());
    }

    /// Writes the end of the stream.
    pub(crate) fn write_end(self, out: &mut Vec<u8>) {
        match self {
            Self::Document => out.extend_from_slice(b"</stream:stream>"),
            Self::Messages => Element::new(FRAMING, "close").write("", out),
        }
    }
}

/// Checks the header of a client. Returns an error if it is not for this server.
pub(crate) fn check_header(form: Form, header: &Element, domain: &str) -> Result<(), Broken> {
    if !form.is_header(header) {
        let is_right_name = matches!(&*header.name, "stream" | "open");
        let condition = if is_right_name { "invalid-namespace" } else { "bad-format" };
        return Err(Broken::new(condition, format!("the stream begins with `{}`", header.name)));
    }
    let major =
        header.attribute("version").and_then(|version| version.split_once('.')).map(|(major, _)| major);
    if major.is_none_or(|major| major.parse::<u32>().is_ok_and(|major| major < 1)) {
        return Err(Broken::new("unsupported-version", "the version of the stream is not 1.0"));
    }
    match header.attribute("to") {
        Some(to) if to.eq_ignore_ascii_case(domain) => Ok(()),
        _ => Err(Broken::new("host-unknown", format!("the stream is not for `{domain}`"))),
    }
}
