//! The differences between two configurations, and what a running server does about each.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Config;
use super::key::{Key, Step};

/// A difference between the configuration of a running server and another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Change {
    /// The key, written like `listeners[0].limits.idle-timeout`. The index of a listener is that in
    /// the other configuration, or in the running one if the other one does not have the listener.
    pub key: String,
    /// The value in the running server. `None` if it has none, if it is a table, or if it may be
    /// secret.
    pub from: Option<String>,
    /// The value in the other configuration, in the same form.
    pub to: Option<String>,
    /// When the new value takes effect.
    pub effect: Effect,
    /// How many open connections the change concerns: the connections of the listener whose limits
    /// change, those that a new `access` list refuses, or the sessions of a codec. 0 if it concerns
    /// only later connections.
    pub connections: u64,
}

/// When a new value of the configuration takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effect {
    /// At a reload, also for open connections.
    AtOnce,
    /// At a reload, for the connections that open afterwards.
    NewConnections,
    /// At a restart.
    Restart,
}

/// A key whose values differ.
pub(crate) struct Difference {
    pub(crate) key: Key,
    /// The index of the listener in the old configuration, if the key is that of a listener in
    /// both.
    old_listener: Option<usize>,
    old: Option<Value>,
    new: Option<Value>,
}

impl Config {
    /// Returns what [`RunningServer::reload`](crate::RunningServer::reload) would change if this is
    /// the configuration of the server, and what needs a restart. A listener is known by its URL.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        self.differences(new).iter().map(Difference::change).collect()
    }

    pub(crate) fn differences(&self, new: &Self) -> Vec<Difference> {
        let (old, new) = (as_table(self), as_table(new));
        let mut found = Vec::new();
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| *name != LISTENERS) {
            compare(Key::default().name(name), old.get(name), new.get(name), None, &mut found);
        }
        let (old, new) = (listeners(&old), listeners(&new));
        let matched = matched(old.iter().map(url), new.iter().map(url));
        for (index, listener) in new.iter().enumerate() {
            let before = matched[index];
            let old = before.map(|before| &old[before]);
            let key = Key::default().name(LISTENERS).index(index);
            compare(key, old, Some(listener), before, &mut found);
        }
        for (index, listener) in old.iter().enumerate().filter(|(index, _)| !matched.contains(&Some(*index)))
        {
            let key = Key::default().name(LISTENERS).index(index);
            found.push(Difference { key, old_listener: None, old: Some(listener.clone()), new: None });
        }
        found
    }

    /// Returns the configuration that a server has after a reload: `new`, but for the values that
    /// need a restart.
    pub(crate) fn after_reload(&self, new: &Self) -> Self {
        let mut after = Value::Object(as_table(new));
        for difference in self.differences(new) {
            if difference.effect() == Effect::Restart {
                put(&mut after, difference.key.steps(), difference.old);
            }
        }
        let mut after: Self = serde_json::from_value(after).expect("each value comes from a configuration");
        // A listener keeps its codec until a restart, and with it the table of the codec.
        for name in after.listeners.iter().filter_map(|listener| listener.codec.as_ref()) {
            if let Some(codec) = self.codecs.get(name) {
                after.codecs.entry(name.clone()).or_insert_with(|| codec.clone());
            }
        }
        after
    }
}

const LISTENERS: &str = "listeners";

fn as_table(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(table)) => table,
        _ => unreachable!("a configuration is a table"),
    }
}

fn listeners(table: &Map<String, Value>) -> &[Value] {
    table.get(LISTENERS).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn url(listener: &Value) -> &str {
    listener["url"].as_str().unwrap_or_default()
}

/// Returns for the URL of each new listener the index of the old one with the same URL. The second
/// listener of two with one URL, such as one with port 0, matches the second one.
pub(crate) fn matched<'a>(
    old: impl IntoIterator<Item = &'a str>,
    new: impl IntoIterator<Item = &'a str>,
) -> Vec<Option<usize>> {
    let mut free: Vec<(usize, &str)> = old.into_iter().enumerate().collect();
    let mut take = |url: &str| {
        let at = free.iter().position(|(_, other)| *other == url)?;
        Some(free.remove(at).0)
    };
    new.into_iter().map(&mut take).collect()
}

/// Collects the keys below `key` whose values differ. A table that only one side has is one
/// difference.
fn compare(
    key: Key,
    old: Option<&Value>,
    new: Option<&Value>,
    old_listener: Option<usize>,
    found: &mut Vec<Difference>,
) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new)
        && !is_opaque(&key)
    {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            compare(key.clone().name(name), old.get(name), new.get(name), old_listener, found);
        }
        return;
    }
    found.push(Difference { key, old_listener, old: old.cloned(), new: new.cloned() });
}

/// Returns whether wireplug does not know the keys of a table, because a codec or a connector
/// defines them.
fn is_opaque(key: &Key) -> bool {
    matches!(key.steps(), [.., Step::Name(name)] if name == "options")
}

/// Sets the value at a path, or removes it.
fn put(table: &mut Value, path: &[Step], value: Option<Value>) {
    let Some((last, path)) = path.split_last() else { return };
    let inner = path.iter().try_fold(table, |inner, step| match step {
        Step::Name(name) => inner.get_mut(name),
        Step::Index(index) => inner.get_mut(index),
    });
    let (Some(Value::Object(inner)), Step::Name(name)) = (inner, last) else { return };
    match value {
        Some(value) => inner.insert(name.clone(), value),
        None => inner.remove(name),
    };
}

impl Difference {
    pub(crate) fn change(&self) -> Change {
        let shown = |value: &Option<Value>| match value {
            Some(Value::Object(_)) | None => None,
            Some(_) if self.may_be_secret() => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(value) => Some(value.to_string()),
        };
        let url_of = |value: &Option<Value>| value.as_ref().map(|listener| url(listener).to_owned());
        let (from, to) = match self.is_listener() {
            true => (url_of(&self.old), url_of(&self.new)),
            false => (shown(&self.old), shown(&self.new)),
        };
        Change { key: self.key.to_string(), from, to, effect: self.effect(), connections: 0 }
    }

    /// Returns the index of the listener in the old configuration that the key is about.
    pub(crate) fn old_listener(&self) -> Option<usize> {
        match (self.key.steps(), &self.new) {
            ([Step::Name(table), Step::Index(index)], None) if table == LISTENERS => Some(*index),
            _ => self.old_listener,
        }
    }

    /// Returns the index of the listener in the new configuration that the key is about.
    pub(crate) fn listener(&self) -> Option<usize> {
        match (self.key.steps(), &self.new) {
            ([Step::Name(table), Step::Index(index), ..], Some(_)) if table == LISTENERS => Some(*index),
            _ => None,
        }
    }

    /// Returns whether the value is a whole listener, which is added or removed.
    fn is_listener(&self) -> bool {
        matches!(self.key.steps(), [Step::Name(table), Step::Index(_)] if table == LISTENERS)
    }

    /// Returns the names of the steps. An index is an empty name.
    pub(crate) fn names(&self) -> Vec<&str> {
        let steps = self.key.steps().iter();
        steps.map(|step| if let Step::Name(name) = step { name.as_str() } else { "" }).collect()
    }

    fn may_be_secret(&self) -> bool {
        matches!(*self.names(), ["control" | "nats", ..]) || is_opaque(&self.key)
    }

    pub(crate) fn effect(&self) -> Effect {
        let both = self.old.is_some() && self.new.is_some();
        match *self.names() {
            ["log", _]
            | ["server", "max-connections" | "accept-rate" | "drain-timeout" | "drain-spread"]
            | ["trust", ..]
            | ["listeners", ""] => Effect::AtOnce,
            ["listeners", _, "access", "allow" | "deny"] => Effect::AtOnce,
            ["listeners", _, "access" | "tls" | "websocket", ..]
            | [
                "listeners",
                _,
                "limits",
                "first-byte-timeout" | "handshake-timeout" | "receive-buffer" | "send-buffer",
            ] => Effect::NewConnections,
            ["listeners", _, "limits", _] => Effect::AtOnce,
            ["services", ..] => Effect::AtOnce,
            ["control", "token-file"] if both => Effect::AtOnce,
            ["control", "certificates"] => Effect::AtOnce,
            ["codecs", _] if !both => Effect::AtOnce,
            ["codecs", _, "file" | "builtin" | "options" | "sha256"] => Effect::AtOnce,
            ["codecs", _, "registry", ..] => Effect::AtOnce,
            _ => Effect::Restart,
        }
    }
}

impl fmt::Display for Change {
    /// Writes one line: the key, its values, and what follows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to, effect, connections } = self;
        write!(f, "{key}: ")?;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "{from} -> {to}")?,
            (None, Some(to)) => write!(f, "{to} is new")?,
            (Some(from), None) => write!(f, "{from} is gone")?,
            (None, None) => f.write_str("differs")?,
        }
        f.write_str("; ")?;
        match (effect, connections) {
            (Effect::AtOnce, 0) => f.write_str("at once"),
            (Effect::AtOnce, 1) => f.write_str("at once, for 1 connection"),
            (Effect::AtOnce, count) => write!(f, "at once, for {count} connections"),
            (Effect::NewConnections, _) => f.write_str("for new connections"),
            (Effect::Restart, _) => f.write_str("needs a restart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(change: impl FnOnce(&mut Value)) -> Config {
        let mut config = json!({
            "codecs": { "pomelo": { "builtin": "pomelo", "options": { "heartbeat": 5 } } },
            "listeners": [
                { "url": "tcp://127.0.0.1:0", "codec": "pomelo" },
                { "url": "tcp://127.0.0.1:0", "codec": "pomelo" },
                { "url": "ws://127.0.0.1:1", "codec": "pomelo" },
            ],
        });
        change(&mut config);
        serde_json::from_value(config).expect("it is valid")
    }

    fn lines(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let (old, new) = (config(|_| ()), config(change));
        assert!(old.changes(&old).is_empty());
        old.changes(&new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_key_has_its_effect() {
        let changed = lines(|config| {
            config["log"] = json!({ "level": "debug" });
            config["trust"] = json!({ "keys": { "release": { "file": "release.pub" } } });
            config["server"] = json!({ "max-connections": 5, "large-sandboxes": 7 });
            config["codecs"]["pomelo"]["options"]["heartbeat"] = json!(7);
            config["codecs"]["pomelo"]["registry"] = json!({ "poll": "5m" });
            config["codecs"]["pomelo"]["swap"] = json!({ "watch": false });
            config["services"] = json!({ "chat": {} });
            config["codecs"]["sio"] = json!({ "builtin": "sio" });
            config["listeners"][1]["limits"] = json!({ "packets-per-second": 9, "handshake-timeout": "3s" });
            config["listeners"][2]["access"] = json!({ "deny": ["10.0.0.0/8"], "max-per-address": 4 });
            config["listeners"][2]["codec"] = json!("sio");
        });
        let expected = [
            "codecs.pomelo.options: differs; at once",
            "codecs.pomelo.registry.poll: 1m -> 5m; at once",
            "codecs.pomelo.swap.watch: true -> false; needs a restart",
            "codecs.sio: differs; at once",
            "log.level: info -> debug; at once",
            "server.large-sandboxes: 256 -> 7; needs a restart",
            "server.max-connections: 10000 -> 5; at once",
            "services.chat: differs; at once",
            "trust: differs; at once",
            "listeners[1].limits.handshake-timeout: 10s -> 3s; for new connections",
            "listeners[1].limits.packets-per-second: 0 -> 9; at once",
            "listeners[2].access.deny: [] -> [\"10.0.0.0/8\"]; at once",
            "listeners[2].access.max-per-address: 0 -> 4; for new connections",
            "listeners[2].codec: pomelo -> sio; needs a restart",
        ];
        assert_eq!(changed, expected);
    }

    #[test]
    fn listeners_are_known_by_their_urls() {
        let changed = lines(|config| {
            let list = config["listeners"].as_array_mut().expect("a list");
            list.remove(0);
            list.reverse();
            list.push(json!({ "url": "tcp://127.0.0.1:2", "codec": "pomelo" }));
        });
        let expected = [
            "listeners[2]: tcp://127.0.0.1:2 is new; at once",
            "listeners[1]: tcp://127.0.0.1:0 is gone; at once",
        ];
        assert_eq!(changed, expected);
    }

    #[test]
    fn what_needs_a_restart_stays_a_difference() {
        let old = config(|_| ());
        let new = config(|config| {
            config["server"] = json!({ "max-awake": 5, "drain-timeout": "1s" });
            config["listeners"][0]["options"] = json!({ "x": 1 });
            config["control"] = json!({});
        });
        let after = old.after_reload(&new);
        assert_eq!(after.server.drain_timeout.as_secs(), 1);
        assert_eq!((after.server.max_awake, &after.control), (None, &None));
        let left: Vec<String> = after.changes(&new).into_iter().map(|change| change.key).collect();
        assert_eq!(left, ["control", "server.max-awake", "listeners[0].options"]);
        assert!(after.changes(&new).iter().all(|change| change.effect == Effect::Restart));
    }

    #[test]
    fn a_listener_keeps_the_table_of_its_codec() {
        let new = config(|config| {
            config["codecs"] = json!({ "sio": { "builtin": "sio" } });
            for listener in config["listeners"].as_array_mut().expect("a list") {
                listener["codec"] = json!("sio");
            }
        });
        let after = config(|_| ()).after_reload(&new);
        assert!(after.codecs.contains_key("pomelo") && after.codecs.contains_key("sio"));
        assert!(after.listeners.iter().all(|listener| listener.codec.as_deref() == Some("pomelo")));
    }
}
