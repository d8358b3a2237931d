//! NATS.

use std::path::Path;

use super::{Conflict, no_file};
use crate::config::{Config, Key, NatsConfig};

/// Checks NATS.
pub(super) fn nats(config: &Config, directory: &Path, found: &mut Vec<Conflict>) {
    let key = Key::default().name("nats");
    if let Some(nats) = &config.nats {
        if !cfg!(feature = "nats") {
            let what = "this build knows no NATS: build it with the feature `nats`".to_owned();
            found.push(Conflict { key: key.clone(), others: Vec::new(), what });
        }
        if config.services.is_empty() {
            let what = "without [services.NAME] every request is answered with 404".to_owned();
            let others = vec![Key::default().name("services")];
            found.push(Conflict { key: key.clone(), others, what });
        }
        credentials(&key, nats, directory, found);
    }
}

/// Checks that a node has at most one kind of credentials, and that its files exist.
fn credentials(key: &Key, nats: &NatsConfig, directory: &Path, found: &mut Vec<Conflict>) {
    let name = |name| key.clone().name(name);
    for (file_key, file) in nats.files() {
        if let Some(file) = file.filter(|file| !directory.join(file).is_file()) {
            let what = no_file(directory, file);
            found.push(Conflict { key: name(file_key), others: Vec::new(), what });
        }
    }
    let pairs = [
        ("user", nats.user.is_some(), "password-file", nats.password_file.is_some()),
        ("certificate-file", nats.certificate_file.is_some(), "key-file", nats.key_file.is_some()),
    ];
    for (first, has_first, second, has_second) in pairs {
        if has_first != has_second {
            let (there, missing) = if has_first { (first, second) } else { (second, first) };
            let what = format!("it has no effect without `{missing}`");
            found.push(Conflict { key: name(there), others: vec![name(missing)], what });
        }
    }
    let ways = [
        ("credentials-file", nats.credentials_file.is_some()),
        ("token-file", nats.token_file.is_some()),
        ("user", nats.user.is_some()),
    ];
    let ways: Vec<_> = ways.into_iter().filter(|(_, there)| *there).map(|(way, _)| name(way)).collect();
    if let [first, others @ ..] = &ways[..]
        && !others.is_empty()
    {
        let what = "a node shows in one way who it is: by credentials, a token, or a user and their password"
            .to_owned();
        found.push(Conflict { key: first.clone(), others: others.to_vec(), what });
    }
}
