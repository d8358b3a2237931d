//! The differences between two configurations.

use std::collections::BTreeSet;

use super::{CodecConfig, Config, Key};

impl Config {
    /// Returns the keys that differ in a new configuration and that a running server cannot apply.
    /// These are all keys except the component, the options and the `sha256` of each codec.
    /// [`RunningServer::reload`](crate::server::RunningServer::reload) applies those.
    pub fn needs_restart(&self, new: &Self) -> Vec<Key> {
        let Self { app, log, server, compile, control, nats, services, codecs, listeners } = self;
        let tables = [
            ("app", *app != new.app),
            ("log", *log != new.log),
            ("server", *server != new.server),
            ("compile", *compile != new.compile),
            ("control", *control != new.control),
            ("nats", *nats != new.nats),
            ("services", *services != new.services),
            ("listeners", *listeners != new.listeners),
        ];
        let changed = tables.into_iter().filter(|(_, changed)| *changed);
        let mut keys: Vec<Key> = changed.map(|(name, _)| Key::default().name(name)).collect();
        let names: BTreeSet<&String> = codecs.keys().chain(new.codecs.keys()).collect();
        for name in names {
            let key = Key::default().name("codecs").name(name);
            match (codecs.get(name), new.codecs.get(name)) {
                (Some(old), Some(new)) => {
                    keys.extend(settings(old, new).into_iter().map(|name| key.clone().name(name)));
                }
                _ => keys.push(key),
            }
        }
        keys
    }
}

/// Returns the settings of a codec slot that differ.
fn settings(old: &CodecConfig, new: &CodecConfig) -> Vec<&'static str> {
    let CodecConfig { file: _, builtin: _, options: _, sha256: _, allow_unused_wasi, swap, faults, limits } =
        old;
    let settings = [
        ("allow-unused-wasi", *allow_unused_wasi != new.allow_unused_wasi),
        ("swap", *swap != new.swap),
        ("faults", *faults != new.faults),
        ("limits", *limits != new.limits),
    ];
    settings.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}
