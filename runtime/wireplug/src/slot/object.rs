//! Components in object stores of NATS: `nats://BUCKET/NAME`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::remote::Remote;

/// The beginning of a reference.
const SCHEME: &str = "nats://";

/// The longest name of an object, in bytes. The name is a part of a subject, in base64, and a NATS
/// server closes the connection on which a line of more than 4 KiB comes.
const MAX_NAME: usize = 1024;

/// The object stores of a server.
pub(crate) trait ObjectStores: Send + Sync {
    /// Returns the component in an object. Connects to nothing.
    fn object(&self, reference: &ObjectReference) -> Arc<dyn Remote>;
}

/// A reference to an object: `nats://BUCKET/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectReference {
    pub(crate) bucket: String,
    pub(crate) name: String,
}

/// The text is no reference to an object.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not `{SCHEME}BUCKET/NAME`: {why}")]
pub(crate) struct BadObjectReference {
    text: String,
    why: String,
}

impl BadObjectReference {
    fn new(text: &str, why: &str) -> Self {
        Self { text: text.to_owned(), why: why.to_owned() }
    }
}

fn is_bucket(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl ObjectReference {
    /// Returns the name of the bucket in `nats://BUCKET`.
    ///
    /// # Errors
    /// Returns an error if the text is something else.
    pub(crate) fn bucket(text: &str) -> Result<String, BadObjectReference> {
        let bucket = text.strip_prefix(SCHEME).filter(|bucket| is_bucket(bucket));
        let wrong = || BadObjectReference::new(text, "objects are listed of a bucket: leave the name out");
        Ok(bucket.ok_or_else(wrong)?.to_owned())
    }

    /// Returns the last part of the object's name, without `.wasm`.
    pub(super) fn stem(&self) -> &str {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".wasm").unwrap_or(name)
    }
}

impl FromStr for ObjectReference {
    type Err = BadObjectReference;

    fn from_str(text: &str) -> Result<Self, BadObjectReference> {
        let wrong = |why: &str| BadObjectReference::new(text, why);
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin so"))?;
        let (bucket, name) = rest.split_once('/').ok_or_else(|| wrong("it names no object"))?;
        if !is_bucket(bucket) {
            return Err(wrong(
                "the name of a bucket has letters, digits, - and _ only, and a reference names no server",
            ));
        }
        if name.split('/').any(str::is_empty) {
            return Err(wrong("the object has no name, or a part of its name is empty"));
        }
        if name.len() > MAX_NAME {
            return Err(wrong(&format!(
                "the name of the object has {} bytes, and the most is {MAX_NAME}",
                name.len()
            )));
        }
        if name.contains(char::is_control) {
            return Err(wrong("there is a control character in the name of the object"));
        }
        Ok(Self { bucket: bucket.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_written_as_they_are_read() {
        let longest = format!("nats://codecs/{}", "n".repeat(MAX_NAME));
        for (text, stem) in [
            ("nats://codecs/chat.wasm", "chat"),
            ("nats://my_codecs-2/team/chat 1.4\u{e9}.wasm", "chat 1.4\u{e9}"),
            ("nats://codecs/chat", "chat"),
            (&longest, &longest["nats://codecs/".len()..]),
        ] {
            let reference: ObjectReference = text.parse().expect(text);
            assert_eq!((reference.to_string().as_str(), reference.stem()), (text, stem));
        }
        let reference: ObjectReference = "nats://codecs/team/chat".parse().expect("it is one");
        assert_eq!((&*reference.bucket, &*reference.name), ("codecs", "team/chat"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let too_long = format!("nats://codecs/{}", "n".repeat(MAX_NAME + 1));
        for (text, why) in [
            ("codecs/chat", "it does not begin so"),
            ("nats://codecs", "it names no object"),
            ("nats:///chat", "the name of a bucket"),
            ("nats://127.0.0.1:4222/chat", "a reference names no server"),
            ("nats://codecs/", "the object has no name"),
            ("nats://codecs//chat", "a part of its name is empty"),
            ("nats://codecs/chat\n", "a control character"),
            (&too_long, "has 1025 bytes, and the most is 1024"),
        ] {
            let error = text.parse::<ObjectReference>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(ObjectReference::bucket("nats://codecs").expect("it is one"), "codecs");
        for text in ["codecs", "nats://", "nats://codecs/", "nats://codecs/chat"] {
            ObjectReference::bucket(text).expect_err(text);
        }
    }
}
