//! Conflicts: values that are allowed, but do not fit each other or the existing files.

mod addresses;
mod control;
mod nats;
mod objects;
mod registry;
mod services;
mod trust;

use std::path::Path;

use serde_json::Value;

use super::{
    Builtin, ClientLimits, CodecConfig, CodecLimits, Config, FaultLimits, Key, ListenerConfig, Problem,
    Problems, TlsConfig,
};
use wireplug_base::Chain;
use wireplug_base::units::{duration_text, size_text};
use wireplug_connectors::listening::load_tls;
use wireplug_core::codec::batch_bytes;

use wireplug_connectors::{Connector, Connectors, CreateError};

/// The memory that a 32-bit guest can address, in bytes.
const MAX_MEMORY: usize = 4 << 30;

/// How many times a batch is in a sandbox in the worst case: as the input, in the codec's own data,
/// as the answer, and each of these again in memory that the allocator of the guest has not reused
/// yet.
const BATCHES: usize = 8;

/// A conflict: the key that it concerns, the other keys that it involves, and the reason.
pub(super) struct Conflict {
    pub(super) key: Key,
    pub(super) others: Vec<Key>,
    pub(super) what: String,
}

impl Config {
    /// Checks that the values are compatible, that the files exist, and that `connectors` accept
    /// the listeners. Paths are relative to `directory`.
    ///
    /// A configuration that was read from a file is already checked.
    ///
    /// # Errors
    /// Returns an error if there is a conflict. The error lists all conflicts.
    pub fn check(&self, directory: &Path, connectors: &Connectors) -> Result<(), Problems> {
        let list: Vec<Problem> = find(self, directory, connectors).into_iter().map(Problem::from).collect();
        if list.is_empty() { Ok(()) } else { Err(Problems { file: None, list }) }
    }
}

impl From<Conflict> for Problem {
    fn from(Conflict { key, others, what }: Conflict) -> Self {
        let others = others.iter().filter(|other| !other.is_within(&key));
        let what = what + &others.map(|other| format!("; see {other}")).collect::<String>();
        Self { position: None, key, what }
    }
}

/// Returns all conflicts of a configuration whose paths are relative to `directory`.
pub(super) fn find(config: &Config, directory: &Path, connectors: &Connectors) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (name, codec) in &config.codecs {
        source(&Key::default().name("codecs").name(name), codec, directory, &mut found);
        registry::registry(&Key::default().name("codecs").name(name), codec, directory, &mut found);
        objects::objects(&Key::default().name("codecs").name(name), codec, config.nats.is_some(), &mut found);
        sandbox(&codec_limits(name), &codec.limits, &mut found);
        arrays(&Key::default().name("codecs").name(name), codec, &mut found);
        faults(&Key::default().name("codecs").name(name).name("faults"), &codec.faults, &mut found);
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = Key::default().name("listeners").index(index);
        deadlines(&key.clone().name("limits"), &listener.limits, &mut found);
        let connector = match connectors.create(&listener.url, &listener.options) {
            Ok(connector) => Some(connector),
            Err(error) => {
                found.push(refused(&key, listener, &error));
                None
            }
        };
        if let Some(connector) = &connector {
            layers(&key, listener, &**connector, directory, &mut found);
        }
        match &listener.codec {
            Some(name) => match config.codecs.get(name) {
                Some(codec) => packets(&key, listener, name, &codec.limits, &mut found),
                None => found.push(unknown_codec(key, name, config)),
            },
            None => found.extend(connector.and_then(|connector| no_codec(key, &*connector))),
        }
    }
    let has_url = config.services.values().any(|service| service.url.is_some());
    if config.app.is_some() && (config.nats.is_some() || has_url) {
        let section = if config.nats.is_some() { "nats" } else { "services" };
        found.push(Conflict {
            key: Key::default().name("app"),
            others: vec![Key::default().name(section)],
            what: "the application is either the demo or services, over HTTP or behind NATS: leave one of them out"
                .to_owned(),
        });
    }
    if let Some(trust) = &config.trust {
        trust::trust(trust, directory, &mut found);
    }
    nats::nats(config, directory, &mut found);
    services::services(config, directory, &mut found);
    let taken = addresses::listeners(&config.listeners, &mut found);
    if let Some(api) = &config.control {
        control::control(api, &taken, directory, &mut found);
    }
    if let Some(health) = &config.health {
        control::health(health, config.control.as_ref(), &taken, &mut found);
    }
    found
}

/// Returns a conflict if a file has no application. Only for programs without an application
/// of their own.
#[cfg(feature = "config-file")]
pub(super) fn no_application(config: &Config) -> Option<Conflict> {
    let Config { app: None, nats: None, services, .. } = config else { return None };
    let what = "it is missing: without an application every request is answered with 404. Name services, \
                by [services.NAME] with a `url` or with [nats], or write `app = \"demo\"` for the demo. A program that embeds wireplug \
                has an application of its own, and checks its files itself, by `Config::load`";
    // Services without NATS have an error of their own.
    services.is_empty().then(|| Conflict {
        key: Key::default().name("app"),
        others: ["nats", "services"].map(|name| Key::default().name(name)).to_vec(),
        what: what.to_owned(),
    })
}

fn codec_limits(name: &str) -> Key {
    Key::default().name("codecs").name(name).name("limits")
}

/// Checks that a codec has exactly one source, and that the source exists.
fn source(key: &Key, codec: &CodecConfig, directory: &Path, found: &mut Vec<Conflict>) {
    let (file, builtin) = (key.clone().name("file"), key.clone().name("builtin"));
    let (key, others, what) = match (&codec.file, codec.builtin) {
        (None, None) => {
            let what = "it says neither `file`, a component, nor `builtin`, one that is built in";
            (key.clone(), vec![file, builtin], what.to_owned())
        }
        (Some(_), Some(_)) => {
            (file, vec![builtin], "a codec has either `file` or `builtin`, and not both".to_owned())
        }
        (Some(path), None) if registry::is_reference(path) || objects::is_reference(path) => return,
        (Some(path), None) if !directory.join(path).is_file() => (file, Vec::new(), no_file(directory, path)),
        _ => return,
    };
    found.push(Conflict { key, others, what });
}

fn no_file(directory: &Path, path: &Path) -> String {
    format!("there is no file {}", directory.join(path).display())
}

/// Checks the limits of a sandbox against each other.
fn sandbox(key: &Key, limits: &CodecLimits, found: &mut Vec<Conflict>) {
    let &CodecLimits { max_packet, memory, total_memory, call_cpu, call_wall, open_cpu, .. } = limits;
    let mut check = |wrong: bool, first: &str, other: Option<&str>, what: String| {
        if wrong {
            let name = |name| key.clone().name(name);
            found.push(Conflict { key: name(first), others: other.map(name).into_iter().collect(), what });
        }
    };
    let room = batch_bytes(max_packet).saturating_mul(BATCHES);
    check(
        room > memory,
        "max-packet",
        Some("memory"),
        format!(
            "packets of {} want `memory` of {} or more, {BATCHES} times a batch, and it is {}",
            size_text(max_packet),
            size_text(room),
            size_text(memory)
        ),
    );
    check(
        memory > total_memory,
        "memory",
        Some("total-memory"),
        format!(
            "a sandbox of {} is more than all together may have, {}",
            size_text(memory),
            size_text(total_memory)
        ),
    );
    check(
        memory > MAX_MEMORY,
        "memory",
        None,
        format!(
            "{} is more than a sandbox can address: at most {}",
            size_text(memory),
            size_text(MAX_MEMORY)
        ),
    );
    for (name, cpu) in [("call-cpu", call_cpu), ("open-cpu", open_cpu)] {
        check(
            cpu > call_wall,
            name,
            Some("call-wall"),
            format!(
                "`{name}` of {} is never used up in {} of wall time",
                duration_text(cpu),
                duration_text(call_wall)
            ),
        );
    }
}

/// Checks the fault limits of a codec against each other.
fn faults(key: &Key, limits: &FaultLimits, found: &mut Vec<Conflict>) {
    let &FaultLimits { suspend, per_address, .. } = limits;
    if suspend > 0 && per_address >= suspend {
        let what = format!(
            "`per-address` of {per_address} is not less than `suspend` of {suspend}, so that one address could suspend the \
             codec for everybody: lower it, raise `suspend`, or set `per-address` to 0, which says that this may be"
        );
        let others = vec![key.clone().name("suspend")];
        found.push(Conflict { key: key.clone().name("per-address"), others, what });
    }
}

/// Checks the size of the arrays that the sio codec makes against the largest packet. The codec
/// does not know the largest packet. A longer array would be refused with everything in it.
fn arrays(key: &Key, codec: &CodecConfig, found: &mut Vec<Conflict>) {
    /// The default of `guest-examples/sio`, in bytes.
    const DEFAULT: u64 = 8 << 10;
    let max_batch = codec.options.get("max-batch").map_or(Some(DEFAULT), Value::as_u64);
    let max_packet = codec.limits.max_packet;
    if codec.builtin == Some(Builtin::Sio) && max_batch.is_some_and(|bytes| bytes > max_packet as u64) {
        let what = format!(
            "`max-batch`, {DEFAULT} bytes unless it is set, is more than the largest packet, {}",
            size_text(max_packet)
        );
        let others = vec![key.clone().name("limits").name("max-packet")];
        found.push(Conflict { key: key.clone().name("options").name("max-batch"), others, what });
    }
}

/// Checks the deadlines of a client against each other.
fn deadlines(key: &Key, limits: &ClientLimits, found: &mut Vec<Conflict>) {
    let &ClientLimits { first_byte_timeout: first, handshake_timeout: handshake, .. } = limits;
    if !handshake.is_zero() && handshake < first {
        found.push(Conflict {
            key: key.clone().name("handshake-timeout"),
            others: vec![key.clone().name("first-byte-timeout")],
            what: format!(
                "the handshake is to be over after {}, but its first byte may take {}",
                duration_text(handshake),
                duration_text(first)
            ),
        });
    }
}

/// Checks the limits of a listener against its codec's largest packet.
fn packets(key: &Key, listener: &ListenerConfig, name: &str, codec: &CodecLimits, found: &mut Vec<Conflict>) {
    let limits = &listener.limits;
    let named = [
        ("high-water", limits.high_water),
        ("max-outbox", limits.max_outbox),
        // One second's worth may come at once, so a packet must fit into it.
        ("bytes-per-second", limits.bytes_per_second),
    ];
    for (limit, bytes) in named {
        let unlimited = limit == "bytes-per-second" && bytes == 0;
        if bytes < codec.max_packet && !unlimited {
            found.push(Conflict {
                key: key.clone().name("limits").name(limit),
                others: vec![codec_limits(name).name("max-packet")],
                what: format!(
                    "`{limit}` of {} is less than the largest packet, {}",
                    size_text(bytes),
                    size_text(codec.max_packet)
                ),
            });
        }
    }
}

/// Returns the conflict for a URL that is invalid, or that its connector refuses.
fn refused(listener: &Key, config: &ListenerConfig, error: &CreateError) -> Conflict {
    let options = (!config.options.is_empty()).then(|| listener.clone().name("options"));
    Conflict {
        key: listener.clone().name("url"),
        others: options.into_iter().collect(),
        what: Chain::of(error).to_string(),
    }
}

/// Checks the settings of a listener for the layers of its connector.
fn layers(
    key: &Key,
    listener: &ListenerConfig,
    connector: &dyn Connector,
    directory: &Path,
    found: &mut Vec<Conflict>,
) {
    let ListenerConfig { url, tls, websocket, .. } = listener;
    if let Some((name, what)) = connector.layers().misfit(tls.as_ref(), websocket) {
        let (key, url_key) = (key.clone().name(name), key.clone().name("url"));
        found.push(Conflict { key, others: vec![url_key], what: format!("{url}: {what}") });
        return;
    }
    if let Some(settings) = tls {
        self::tls(&key.clone().name("tls"), settings, directory, found);
    }
}

/// Checks the keys of a table for TLS against each other, and its files.
fn tls(key: &Key, tls: &TlsConfig, directory: &Path, found: &mut Vec<Conflict>) {
    if tls.client_certificates.is_some() && tls.client_ca.is_none() {
        let what = "it has no effect without `client-ca`, the roots of the clients' certificates".to_owned();
        let others = vec![key.clone().name("client-ca")];
        found.push(Conflict { key: key.clone().name("client-certificates"), others, what });
    }
    if tls.client_crl.is_some() && tls.client_ca.is_none() {
        let what = "it has no effect without `client-ca`, the roots of the clients' certificates".to_owned();
        let others = vec![key.clone().name("client-ca")];
        found.push(Conflict { key: key.clone().name("client-crl"), others, what });
    }
    if let Err(error) = load_tls(&tls.within(directory)) {
        // Files that have another problem get no second message.
        let others =
            ["certificate", "key", "client-ca", "client-crl"].map(|name| key.clone().name(name)).to_vec();
        found.push(Conflict { key: key.clone(), others, what: Chain::of(&error).to_string() });
    }
}

/// Returns a conflict for a listener without a codec, if its connector has no codec of its
/// own.
fn no_codec(listener: Key, connector: &dyn Connector) -> Option<Conflict> {
    let what = "it is missing: the name of a codec of this configuration; the connector has none of its own";
    connector.default_codec().is_none().then(|| Conflict {
        key: listener.name("codec"),
        others: Vec::new(),
        what: what.to_owned(),
    })
}

fn unknown_codec(listener: Key, name: &str, config: &Config) -> Conflict {
    let names: Vec<_> = config.codecs.keys().map(|name| format!("{name:?}")).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Conflict {
        key: listener.name("codec"),
        others: vec![Key::default().name("codecs")],
        what: format!("there is no codec {name:?} in [codecs]; there is {there}"),
    }
}
