//! Stanzas as JSON: messages, presence, and queries.

use rxml::Namespace;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::element::Element;
use crate::jid::Jid;
use crate::jsonml;
use crate::stream::CLIENT;

/// The largest id of a stanza, in bytes. Ids are kept with open requests.
pub(crate) const MAX_ID: usize = 256;

/// A message or presence, in both directions.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Stanza {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    /// The text of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// All other elements, in the form of JsonML.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Value>,
}

/// A query: an `iq` of the type `get` or `set`.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) payload: Value,
}

impl Stanza {
    /// Returns a stanza of the client with the address `from`.
    pub(crate) fn read(element: &Element, from: String) -> Self {
        let get = |name| element.attribute(name).map(str::to_owned);
        // A body in another language has `xml:lang`, and stays an element.
        let is_body = |child: &Element| child.is(CLIENT, "body") && child.attributes.is_empty();
        let body = (element.name == "message").then(|| element.elements().position(is_body)).flatten();
        let others = element.elements().enumerate().filter(|(index, _)| Some(*index) != body);
        Self {
            to: get("to"),
            from: Some(from),
            id: get("id"),
            kind: get("type"),
            lang: get("xml:lang"),
            body: body.and_then(|index| element.elements().nth(index)).map(Element::inner_text),
            children: others.map(|(_, child)| jsonml::from_element(child, CLIENT)).collect(),
        }
    }

    /// Returns the element that the application wants to send.
    ///
    /// # Errors
    /// Returns an error if XML or XMPP cannot express it.
    pub(crate) fn element(&self, name: &str) -> Result<Element, String> {
        let mut element = Element::new(CLIENT, name)
            .with_some("from", check_address(self.from.as_deref())?)
            .with_some("to", check_address(self.to.as_deref())?)
            .with_some("id", check(self.id.as_deref())?)
            .with_some("type", check(self.kind.as_deref())?)
            .with_some("xml:lang", check(self.lang.as_deref())?);
        if let Some(body) = check(self.body.as_deref())? {
            element = element.child(Element::new(CLIENT, "body").text(body));
        }
        for child in &self.children {
            element = element.child(jsonml::to_element(child, &Namespace::from(CLIENT))?);
        }
        Ok(element)
    }
}

fn check(text: Option<&str>) -> Result<Option<&str>, String> {
    text.map(jsonml::check_text).transpose()
}

/// Returns the text, unless it is not an address.
pub(crate) fn check_address(text: Option<&str>) -> Result<Option<&str>, String> {
    match check(text)? {
        Some(text) if Jid::parse(text).is_none() => Err(format!("`{text}` is not an address")),
        text => Ok(text),
    }
}
