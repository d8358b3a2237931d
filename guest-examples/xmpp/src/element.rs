//! Elements of XML, and how they are written.

use rxml::Namespace;

use crate::stream::STREAM;

/// An element with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) namespace: Namespace<'static>,
    pub(crate) name: String,
    /// Names and values. A name is `type` or `xml:lang`: no other prefix is kept.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
}

/// What stands in an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub(crate) fn new(namespace: impl Into<Namespace<'static>>, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.to_owned(), attributes: vec![], children: vec![] }
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Adds an attribute that may be missing.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.children.push(Node::Text(text.to_owned()));
        self
    }

    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == *namespace && self.name == name
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Returns the elements in this element.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Returns the text in this element, without that of the elements in it.
    pub(crate) fn inner_text(&self) -> String {
        self.children
            .iter()
            .filter_map(|node| if let Node::Text(text) = node { Some(&**text) } else { None })
            .collect()
    }

    /// Writes the element where `default` is the default namespace.
    ///
    /// The namespace of the stream has the prefix `stream`, as all clients expect. Where the
    /// default is none, nothing stands around the element, and so it declares the prefix itself.
    pub(crate) fn write(&self, default: &str, out: &mut Vec<u8>) {
        let is_of_stream = self.namespace == *STREAM;
        let prefix = if is_of_stream { "stream:" } else { "" };
        out.push(b'<');
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(self.name.as_bytes());
        if is_of_stream && default.is_empty() {
            write_attribute("xmlns:stream", STREAM, out);
        }
        let inner = if is_of_stream { default } else { &*self.namespace };
        if inner != default {
            write_attribute("xmlns", inner, out);
        }
        for (name, value) in &self.attributes {
            write_attribute(name, value, out);
        }
        if self.children.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(inner, out),
                Node::Text(text) => escape(text, out),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'>');
    }
}

fn write_attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape(value, out);
    out.push(b'\'');
}

/// Writes a text so that it is read as it is, in an element and in an attribute.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'\'' => out.extend_from_slice(b"&apos;"),
            // A reader would turn them into spaces or line feeds.
            b'\t' => out.extend_from_slice(b"&#9;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            byte => out.push(byte),
        }
    }
}

/// Returns whether XML 1.0 allows a character, as such or as a reference.
pub(crate) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
