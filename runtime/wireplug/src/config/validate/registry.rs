//! Codecs in registries.

use std::path::Path;

use super::{Conflict, no_file};
use crate::config::{CodecConfig, Key, RegistryConfig};

/// Returns whether a codec's file is in a registry.
pub(super) fn is_reference(file: &Path) -> bool {
    file.to_str().is_some_and(|file| file.starts_with("oci://"))
}

/// Checks where a codec is in a registry, and how it is fetched.
pub(super) fn registry(key: &Key, codec: &CodecConfig, directory: &Path, found: &mut Vec<Conflict>) {
    let (file, registry) = (key.clone().name("file"), key.clone().name("registry"));
    let Some(reference) = codec.file.as_deref().filter(|file| is_reference(file)) else {
        if codec.registry != RegistryConfig::default() {
            let what = "it has no effect without `file = \"oci://…\"`".to_owned();
            found.push(Conflict { key: registry, others: vec![file], what });
        }
        return;
    };
    if let Some(what) = bad_reference(reference) {
        found.push(Conflict { key: file, others: Vec::new(), what });
    }
    let ca_file = registry.clone().name("ca-file");
    let Some(path) = codec.registry.ca_file.as_ref().map(|path| directory.join(path)) else { return };
    let problem = if codec.registry.plain_http {
        Some(("it has no effect with `plain-http`".to_owned(), vec![registry.name("plain-http")]))
    } else if !path.is_file() {
        Some((no_file(directory, &path), Vec::new()))
    } else {
        bad_roots(&path).map(|what| (what, Vec::new()))
    };
    if let Some((what, others)) = problem {
        found.push(Conflict { key: ca_file, others, what });
    }
}

#[cfg(feature = "oci")]
fn bad_reference(reference: &Path) -> Option<String> {
    let reference = reference.to_str().unwrap_or_default();
    crate::registry::Registry::new(reference, RegistryConfig::default()).err().map(|error| error.to_string())
}

#[cfg(not(feature = "oci"))]
fn bad_reference(_: &Path) -> Option<String> {
    Some("this build knows no registries: build it with the feature `oci`".to_owned())
}

/// Returns what is wrong with the content of a file with root certificates.
#[cfg(feature = "oci")]
fn bad_roots(file: &Path) -> Option<String> {
    crate::registry::check_roots(file).err().map(|error| format!("{error:#}"))
}

#[cfg(not(feature = "oci"))]
fn bad_roots(_: &Path) -> Option<String> {
    None
}
