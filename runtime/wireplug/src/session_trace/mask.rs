//! Hides the values of JSON fields in bytes of any kind.

use std::borrow::Cow;
use std::sync::Arc;

/// What stands in the place of a value.
const HIDDEN: &[u8] = b"\"***\"";

/// The names of fields whose values are hidden. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Arc<Vec<Vec<u8>>>);

impl Mask {
    pub(crate) fn new(fields: &[String]) -> Self {
        Self(Arc::new(fields.iter().map(|field| format!("{field:?}").into_bytes()).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes with the values of the fields hidden. The JSON may lie anywhere in the
    /// bytes, such as behind the head of a packet.
    pub(crate) fn hide<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut shown = Cow::Borrowed(bytes);
        for field in self.0.iter() {
            if let Some(hidden) = hide(&shown, field) {
                shown = Cow::Owned(hidden);
            }
        }
        shown
    }
}

/// Returns the bytes with the values of one field hidden, or `None` if it is not there.
fn hide(bytes: &[u8], field: &[u8]) -> Option<Vec<u8>> {
    let (mut shown, mut at) = (Vec::new(), 0);
    let mut found = false;
    while let Some(start) = memchr::memmem::find(&bytes[at..], field).map(|offset| at + offset) {
        let end = start + field.len();
        let value = skip_spaces(bytes, end);
        if bytes.get(value) != Some(&b':') {
            shown.extend_from_slice(&bytes[at..end]);
            at = end;
            continue;
        }
        let value = skip_spaces(bytes, value + 1);
        shown.extend_from_slice(&bytes[at..value]);
        shown.extend_from_slice(HIDDEN);
        (at, found) = (end_of_value(bytes, value), true);
    }
    found.then(|| {
        shown.extend_from_slice(&bytes[at..]);
        shown
    })
}

fn skip_spaces(bytes: &[u8], at: usize) -> usize {
    let spaces = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace());
    at + spaces.count()
}

/// Returns where the JSON value that begins at `at` ends. A value that does not end reaches to the
/// end of the bytes.
fn end_of_value(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (index, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' if is_text => {
                is_text = false;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ if is_text => {}
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            b',' | b'}' | b']' if depth == 0 => return index,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_kind_are_hidden_wherever_the_json_is() {
        let mask = Mask::new(&["password".to_owned(), "token".to_owned()]);
        for (bytes, shown) in [
            (r#"{"user":"ann","password":"x\"y"}"#, r#"{"user":"ann","password":"***"}"#),
            (r#"{"password" : [1,{"a":"]"}] ,"b":2}"#, r#"{"password" : "***" ,"b":2}"#),
            (r#"{"token":12,"a":{"token":null}}"#, r#"{"token":"***","a":{"token":"***"}}"#),
            ("\u{4}\u{0}login{\"token\":true}", "\u{4}\u{0}login{\"token\":\"***\"}"),
            (r#"["password","token"]"#, r#"["password","token"]"#),
            (r#"{"password":"cut of"#, r#"{"password":"***""#),
            (r#"{"Password":"other"}"#, r#"{"Password":"other"}"#),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&mask.hide(bytes.as_bytes())), shown);
        }
    }
}
