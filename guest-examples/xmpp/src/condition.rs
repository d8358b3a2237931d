//! Errors of stanzas, and their statuses: section 8.3 of RFC 6120. The statuses are the numbers in
//! XEP-0086, which older clients sent.

use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::jsonml;
use crate::stream::CLIENT;

const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// What a client can do about an error.
const CANCEL: &str = "cancel";
const MODIFY: &str = "modify";
const AUTH: &str = "auth";
const WAIT: &str = "wait";

/// Each condition with its type and its status. The first one with a status stands for it.
const CONDITIONS: [(&str, &str, u16); 22] = [
    ("bad-request", MODIFY, 400),
    ("jid-malformed", MODIFY, 400),
    ("unexpected-request", WAIT, 400),
    ("not-authorized", AUTH, 401),
    ("forbidden", AUTH, 403),
    // Newer than XEP-0086.
    ("policy-violation", MODIFY, 403),
    ("item-not-found", CANCEL, 404),
    ("recipient-unavailable", WAIT, 404),
    ("remote-server-not-found", CANCEL, 404),
    ("not-allowed", CANCEL, 405),
    ("not-acceptable", MODIFY, 406),
    ("registration-required", AUTH, 407),
    ("subscription-required", AUTH, 407),
    ("conflict", CANCEL, 409),
    ("redirect", MODIFY, 302),
    ("gone", CANCEL, 302),
    ("internal-server-error", CANCEL, 500),
    ("resource-constraint", WAIT, 500),
    ("undefined-condition", CANCEL, 500),
    ("feature-not-implemented", CANCEL, 501),
    ("service-unavailable", CANCEL, 503),
    ("remote-server-timeout", WAIT, 504),
];

/// An error of a stanza as JSON.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StanzaError {
    pub(crate) condition: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

impl StanzaError {
    pub(crate) fn new(condition: &str) -> Self {
        Self { condition: condition.to_owned(), text: None }
    }

    /// Returns the error for an answer of the application. The body may name the condition.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        let named = serde_json::from_slice(body).ok().filter(|error: &Self| {
            CONDITIONS.iter().any(|(name, ..)| *name == error.condition)
                && error.text.as_deref().is_none_or(|text| jsonml::check_text(text).is_ok())
        });
        named.unwrap_or_else(|| {
            let known = CONDITIONS.iter().find(|(.., known)| *known == status).map(|(name, ..)| *name);
            Self::new(match status {
                // The runtime answers so if the application has no handler for the namespace.
                404 if body.is_empty() => "service-unavailable",
                500.. => known.unwrap_or("internal-server-error"),
                _ => known.unwrap_or("undefined-condition"),
            })
        })
    }

    /// Reads the error in a stanza of a client. Returns also its status.
    pub(crate) fn read(stanza: &Element) -> (u16, Self) {
        let error = stanza.elements().find(|child| child.is(CLIENT, "error"));
        let of_stanza = |child: &&Element| child.namespace == *STANZA_ERRORS;
        let parts = || error.into_iter().flat_map(Element::elements).filter(of_stanza);
        let named = |part: &Element| CONDITIONS.iter().find(|(name, ..)| *name == part.name);
        let (condition, _, status) = parts().find_map(named).unwrap_or(&("undefined-condition", CANCEL, 500));
        let text = parts().find(|part| part.name == "text").map(Element::inner_text);
        (*status, Self { text, ..Self::new(condition) })
    }

    pub(crate) fn element(&self) -> Element {
        let kind =
            CONDITIONS.iter().find(|(name, ..)| *name == self.condition).map_or(CANCEL, |(_, kind, _)| kind);
        let error = Element::new(CLIENT, "error")
            .with("type", kind)
            .child(Element::new(STANZA_ERRORS, &self.condition));
        match &self.text {
            Some(text) => error.child(Element::new(STANZA_ERRORS, "text").with("xml:lang", "en").text(text)),
            None => error,
        }
    }
}
