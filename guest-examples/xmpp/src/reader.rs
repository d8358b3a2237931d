//! Cuts a stream into its header, its elements and its end, and reads them.
//!
//! A reader takes each byte once. It remembers how far it has come, because a stream comes in
//! pieces, and the runtime passes the beginning of an element again with every piece. A wrong byte
//! ends the item that it is in. So the items never depend on how the stream was divided.

use rxml::error::EndOrError;
use rxml::{AttrMap, Event, Namespace, NcName, Parse as _, Parser, WithOptions as _};

use crate::element::{Element, Node};
use crate::stream::Broken;

/// The deepest element of a stanza, which itself has the depth 1. Elements are read and written by
/// recursion, and the stack of a sandbox is small.
pub(crate) const MAX_DEPTH: usize = 32;

/// The largest number of elements in a stanza. Each costs more memory than it has bytes.
const MAX_ELEMENTS: usize = 1024;

/// The largest number of attributes of an element. XMPP has elements with up to eight.
const MAX_ATTRIBUTES: usize = 32;

/// The largest name and the largest value of an attribute, in bytes.
const MAX_TOKEN: usize = 8192;

/// The largest name of a namespace, in bytes. In JSON, every element may repeat it.
pub(crate) const MAX_NAMESPACE: usize = 256;

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// White space between elements, which keeps a connection alive. One byte.
    Space,
    /// The start tag of the stream.
    Header(Element),
    /// A whole element.
    Element(Element),
    /// The end tag of the stream.
    End,
}

/// Reads one stream.
#[derive(Debug)]
pub(crate) struct Reader {
    parser: Parser,
    place: Place,
    max_item: usize,
    /// The elements that are open, the outermost first.
    open: Vec<Element>,
    elements: usize,
    /// How many bytes of the current item are read.
    read: usize,
    /// The current item, once it is whole.
    item: Option<Result<Item, Broken>>,
}

/// Where the current item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A header comes first.
    BeforeStream,
    InStream,
    /// The element is a document of its own.
    Alone,
}

impl Reader {
    /// Returns a reader that expects the header of a stream.
    pub(crate) fn of_stream(max_item: usize) -> Self {
        Self::new(Place::BeforeStream, max_item)
    }

    /// Returns a reader in the middle of a stream, which began with this header.
    pub(crate) fn in_stream(header: &[u8], max_item: usize) -> Result<Self, Broken> {
        let mut reader = Self::of_stream(max_item);
        reader.take(header)?;
        Ok(reader)
    }

    /// Reads an element that is a document of its own.
    pub(crate) fn document(bytes: &[u8], max_item: usize) -> Result<Element, Broken> {
        match Self::new(Place::Alone, max_item).take(bytes)? {
            Item::Element(element) => Ok(element),
            _ => Err(Broken::new("bad-format", "a message is not an element")),
        }
    }

    fn new(place: Place, max_item: usize) -> Self {
        let options = rxml::Options { max_token_length: MAX_TOKEN, ..rxml::Options::default() };
        let parser = Parser::with_options(options);
        Self { parser, place, max_item, open: Vec::new(), elements: 0, read: 0, item: None }
    }

    /// Reads on in the item at the front of `bytes`. Returns the length of the item, or `None` if
    /// it needs more bytes. A wrong item ends with the byte that is wrong.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let window = &bytes[..bytes.len().min(self.max_item)];
        let first = *window.first()?;
        while self.item.is_none() {
            if self.read == 0 && first != b'<' {
                self.item = Some(self.between_elements(first));
                break;
            }
            let mut unread = window.get(self.read..).unwrap_or_default();
            let parsed = self.parser.parse(&mut unread, false);
            self.read = window.len() - unread.len();
            let read = &window[..self.read];
            self.item = match parsed {
                Ok(Some(event)) => self.event(event, read).transpose(),
                Err(EndOrError::NeedMoreData) if window.len() < self.max_item => return None,
                Err(EndOrError::NeedMoreData) => {
                    Some(Err(exceeded("a stanza has more bytes", self.max_item)))
                }
                // The only end is that of an element alone, which is an item.
                Ok(None) => Some(Err(Broken::new("not-well-formed", "the document has ended"))),
                Err(EndOrError::Error(error)) => Some(Err(broken(error, read))),
            };
        }
        Some(self.read)
    }

    /// Returns the item, which `bytes` are.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Item, Broken> {
        let length = self.advance(bytes);
        self.read = 0;
        self.elements = 0;
        match self.item.take() {
            Some(item) if length == Some(bytes.len()) || item.is_err() => item,
            Some(_) => Err(Broken::new("bad-format", "something follows the element")),
            None => Err(Broken::new("not-well-formed", "the element has no end")),
        }
    }

    /// Takes a byte that is no element.
    fn between_elements(&mut self, byte: u8) -> Result<Item, Broken> {
        self.read = 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if self.place != Place::Alone => Ok(Item::Space),
            _ => Err(Broken::new("bad-format", "text stands where an element should begin")),
        }
    }

    fn event(&mut self, event: Event, read: &[u8]) -> Result<Option<Item>, Broken> {
        match event {
            Event::XmlDeclaration(..) if self.place == Place::BeforeStream => Ok(None),
            Event::XmlDeclaration(..) => {
                Err(Broken::new("bad-format", "an XML declaration is not allowed here"))
            }
            Event::StartElement(_, (namespace, name), attributes) => {
                let element = self.start(namespace, &name, attributes)?;
                if self.place != Place::BeforeStream {
                    self.open.push(element);
                    return Ok(None);
                }
                if read.ends_with(b"/>") {
                    return Err(Broken::new("bad-format", "the stream ends in its header"));
                }
                self.place = Place::InStream;
                Ok(Some(Item::Header(element)))
            }
            Event::Text(_, text) => {
                let Some(parent) = self.open.last_mut() else { return Ok(None) };
                // The parser may cut a text anywhere.
                match parent.children.last_mut() {
                    Some(Node::Text(before)) => before.push_str(&text),
                    _ => parent.children.push(Node::Text(text)),
                }
                Ok(None)
            }
            Event::EndElement(_) => {
                let Some(element) = self.open.pop() else { return Ok(Some(Item::End)) };
                match self.open.last_mut() {
                    Some(parent) => parent.children.push(Node::Element(element)),
                    None => return Ok(Some(Item::Element(element))),
                }
                Ok(None)
            }
        }
    }

    fn start(
        &mut self,
        namespace: Namespace<'static>,
        name: &NcName,
        attributes: AttrMap,
    ) -> Result<Element, Broken> {
        self.elements += 1;
        if self.open.len() == MAX_DEPTH {
            return Err(exceeded("elements are nested deeper", MAX_DEPTH));
        }
        if self.elements > MAX_ELEMENTS {
            return Err(exceeded("a stanza has more elements", MAX_ELEMENTS));
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(exceeded("an element has more attributes", MAX_ATTRIBUTES));
        }
        if namespace.len() > MAX_NAMESPACE {
            return Err(exceeded("the name of a namespace has more bytes", MAX_NAMESPACE));
        }
        let mut element = Element::new(namespace, name);
        for ((namespace, name), value) in attributes {
            if namespace.is_empty() {
                element.attributes.push((name.to_string(), value));
            } else if namespace == *rxml::XMLNS_XML {
                element.attributes.push((format!("xml:{name}"), value));
            }
        }
        Ok(element)
    }
}

fn exceeded(what: &str, max: usize) -> Broken {
    Broken::new("policy-violation", format!("{what} than {max}"))
}

/// Returns the stream error for an error of the parser.
fn broken(error: rxml::Error, read: &[u8]) -> Broken {
    let condition = match error {
        // Section 11.1 of RFC 6120: no comments, no processing instructions, no document type, and
        // no entities but the predefined ones.
        rxml::Error::RestrictedXml(_) | rxml::Error::UndeclaredEntity => "restricted-xml",
        _ if read.ends_with(b"<!D") => "restricted-xml",
        rxml::Error::InvalidUtf8Byte(_) => "unsupported-encoding",
        _ => "not-well-formed",
    };
    Broken::new(condition, error.to_string())
}
