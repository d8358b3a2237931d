//! The keys of those whose codecs are loaded.

use std::path::Path;

use super::Conflict;
use crate::config::{Key, TrustConfig};
use wireplug_wasm::signature::PublicKey;

/// The longest name of a key, in characters: it stands in each line of the audit log.
const MAX_NAME: usize = 32;

/// Checks that each key can be read, and that each is there once.
pub(super) fn trust(trust: &TrustConfig, directory: &Path, found: &mut Vec<Conflict>) {
    let keys = Key::default().name("trust").name("keys");
    if trust.keys.is_empty() {
        let what = "it names no key, so no codec would be trusted: `wireplug codec keygen` makes one, and prints what \
                    to write here";
        found.push(Conflict { key: keys.clone(), others: Vec::new(), what: what.to_owned() });
    }
    let mut read: Vec<(PublicKey, &str)> = Vec::new();
    for (name, key) in &trust.keys {
        let place = keys.clone().name(name);
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_part) {
            let what = format!("the name of a key has 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`");
            found.push(Conflict { key: place.clone(), others: Vec::new(), what });
        }
        match key.read(directory) {
            Err(unreadable) => {
                let (key, others) = match unreadable.key {
                    Some(key) => (place.name(key), Vec::new()),
                    None => (place.clone(), ["key", "file"].map(|key| place.clone().name(key)).to_vec()),
                };
                found.push(Conflict { key, others, what: unreadable.what });
            }
            Ok((key, _)) => {
                if let Some((_, other)) = read.iter().find(|(other, _)| *other == key) {
                    let what =
                        "it is the same key as another one, so nobody could tell who signed".to_owned();
                    let others = vec![keys.clone().name(other)];
                    found.push(Conflict { key: place, others, what });
                }
                read.push((key, name.as_str()));
            }
        }
    }
}
