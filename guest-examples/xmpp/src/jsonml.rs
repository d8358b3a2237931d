//! Elements as JSON, in the form of JsonML: `["item", {"jid": "bob@localhost"}, "text"]`. The
//! attribute `xmlns` is there if the namespace is not that of the element around.

use rxml::{Namespace, NcName};
use serde_json::{Map, Value};

use crate::element::{Element, Node, is_char};
use crate::reader::{MAX_DEPTH, MAX_NAMESPACE};

/// Returns an element as JSON. `around` is the namespace of the element around.
pub(crate) fn from_element(element: &Element, around: &str) -> Value {
    let mut attributes = Map::new();
    if element.namespace != *around {
        attributes.insert("xmlns".to_owned(), Value::from(&*element.namespace));
    }
    attributes.extend(element.attributes.iter().map(|(name, value)| (name.clone(), Value::from(&**value))));
    let mut list = vec![Value::from(&*element.name)];
    if !attributes.is_empty() {
        list.push(Value::Object(attributes));
    }
    list.extend(element.children.iter().map(|child| match child {
        Node::Element(child) => from_element(child, &element.namespace),
        Node::Text(text) => Value::from(&**text),
    }));
    Value::Array(list)
}

/// Reads an element that the application has written.
///
/// # Errors
/// Returns an error if the value is not an element that XML can express.
pub(crate) fn to_element(value: &Value, around: &Namespace<'static>) -> Result<Element, String> {
    read(value, around, MAX_DEPTH)
}

fn read(value: &Value, around: &Namespace<'static>, depth: usize) -> Result<Element, String> {
    let Some([Value::String(name), rest @ ..]) = value.as_array().map(|list| &**list) else {
        return Err("an element is a list that begins with its name".to_owned());
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
    };
    let (attributes, children) = match rest {
        [Value::Object(attributes), children @ ..] => (Some(attributes), children),
        children => (None, children),
    };
    let mut element = Element::new(around.clone(), check_name(name)?);
    for (name, value) in attributes.into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| format!("the attribute `{name}` is not a text"))?;
        if name == "xmlns" {
            if value.len() > MAX_NAMESPACE {
                return Err(format!("a namespace has more than {MAX_NAMESPACE} bytes"));
            }
            element.namespace = check_text(value)?.to_owned().into();
        } else {
            check_name(name.strip_prefix("xml:").unwrap_or(name))?;
            element.attributes.push((name.clone(), check_text(value)?.to_owned()));
        }
    }
    for child in children {
        element.children.push(match child {
            Value::String(text) => Node::Text(check_text(text)?.to_owned()),
            child => Node::Element(read(child, &element.namespace, depth)?),
        });
    }
    Ok(element)
}

fn check_name(name: &str) -> Result<&str, String> {
    match NcName::try_from(name) {
        Ok(_) => Ok(name),
        Err(_) => Err(format!("`{name}` is not a name without a prefix")),
    }
}

/// Returns the text, unless it has characters that XML cannot express.
pub(crate) fn check_text(text: &str) -> Result<&str, String> {
    match text.chars().find(|c| !is_char(*c)) {
        Some(c) => {
            Err(format!("a text contains the character U+{:04X}, which XML does not allow", u32::from(c)))
        }
        None => Ok(text),
    }
}
