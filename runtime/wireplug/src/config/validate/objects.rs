//! Codecs in object stores.

use std::path::Path;

use super::Conflict;
use crate::config::{CodecConfig, Key};

/// Returns whether a codec's file is in an object store.
pub(super) fn is_reference(file: &Path) -> bool {
    file.to_str().is_some_and(|file| file.starts_with("nats://"))
}

/// Checks where a codec is in an object store. `has_nats` says whether there is a table `nats`.
pub(super) fn objects(key: &Key, codec: &CodecConfig, has_nats: bool, found: &mut Vec<Conflict>) {
    let Some(reference) = codec.file.as_deref().filter(|file| is_reference(file)) else { return };
    let file = key.clone().name("file");
    if let Some(what) = bad_reference(reference) {
        found.push(Conflict { key: file.clone(), others: Vec::new(), what });
    }
    if !has_nats {
        let what = "it is in an object store of NATS, and there is no [nats]".to_owned();
        found.push(Conflict { key: file, others: vec![Key::default().name("nats")], what });
    }
}

#[cfg(feature = "nats")]
fn bad_reference(reference: &Path) -> Option<String> {
    let reference = reference.to_str().unwrap_or_default();
    reference.parse::<crate::slot::ObjectReference>().err().map(|error| error.to_string())
}

#[cfg(not(feature = "nats"))]
fn bad_reference(_: &Path) -> Option<String> {
    Some("this build knows no NATS: build it with the feature `nats`".to_owned())
}
