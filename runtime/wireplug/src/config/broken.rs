//! Breaks each key of a file in each way, and checks two rules for the messages. Each message says
//! what is allowed, and there is no message for a consequence of another error.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::key::Step;
use super::schema::{Schema, properties};
use super::{Config, Key};

/// Returns values that some keys accept and others do not.
fn values() -> [Value; 9] {
    [
        json!(""),
        json!("?"),
        json!("0s"),
        json!(-1),
        json!(1.5),
        json!(5_000_000_000_u64),
        json!(true),
        json!([{}]),
        json!({ "unknown-key": [1] }),
    ]
}

/// Returns a file with something in each section.
fn whole() -> Value {
    json!({
        "log": {},
        "server": {},
        "compile": { "bounds": {} },
        "trust": { "require": true, "keys": { "NAME": { "file": "Cargo.toml" } } },
        "control": { "listen": "unix:///run/control.sock", "allow": [{ "uid": 1, "roles": ["read"] }] },
        "health": { "listen": "127.0.0.1:9100" },
        "nats": { "servers": ["nats://127.0.0.1:4222"], "user": "ann", "password-file": "Cargo.toml" },
        "services": { "NAME": {
            "url": ["http://127.0.0.1:1/a"],
            "sticky": "battle",
            "concurrent-routes": ["NAME.a"],
            "http": { "attributes": ["tls-sni"] },
        } },
        "codecs": { "NAME": { "builtin": "pomelo", "options": {}, "registry": {}, "swap": {}, "faults": {}, "limits": {} } },
        "listeners": [{
            "url": "hybrid+tls://127.0.0.1:0",
            "codec": "NAME",
            "options": {},
            "tls": { "certificate": "Cargo.toml", "key": "Cargo.toml", "client-ca": "Cargo.toml", "client-certificates": "optional" },
            "websocket": { "paths": ["/"] },
            "access": { "allow": ["10.0.0.0/8"] },
            "limits": {},
        }],
    })
}

/// Writes a configuration as TOML, one key per line.
fn toml(config: &Value) -> String {
    fn inline(value: &Value) -> String {
        match value {
            Value::Object(table) => {
                let members = table.iter().map(|(key, value)| format!("{key:?} = {}", inline(value)));
                format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
            }
            Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
            value => value.to_string(),
        }
    }
    let table = config.as_object().expect("a file is a table");
    table.iter().map(|(key, value)| format!("{key} = {}\n", inline(value))).collect()
}

/// Returns what is wrong with a file: keys and messages.
fn problems(config: &Value) -> Vec<(Key, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("w.toml");
    let text = toml(config);
    match Config::parse_standalone(&text, &file) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list.into_iter().map(|problem| (problem.key, problem.what)).collect(),
    }
}

/// Returns the key of each table of a file, with its schema.
fn tables<'a>(schema: &'a Schema, config: &Value) -> Vec<(Key, &'a Value)> {
    fn collect<'a>(
        schema: &'a Schema,
        of: &'a Value,
        key: Key,
        value: &Value,
        found: &mut Vec<(Key, &'a Value)>,
    ) {
        let of = schema.resolved(of);
        match value {
            Value::Object(table) => {
                if properties(of).next().is_some() {
                    found.push((key.clone(), of));
                }
                for (name, value) in table {
                    let of = of["properties"].get(name).unwrap_or(&of["additionalProperties"]);
                    collect(schema, of, key.clone().name(name), value, found);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    collect(schema, &of["items"], key.clone().index(index), value, found);
                }
            }
            _ => (),
        }
    }
    let mut found = Vec::new();
    collect(schema, &schema.json, Key::default(), config, &mut found);
    found
}

/// Returns the table at a key.
fn table<'a>(config: &'a mut Value, key: &Key) -> &'a mut Map<String, Value> {
    let table = key.steps().iter().fold(config, |value, step| match step {
        Step::Name(name) => &mut value[name],
        Step::Index(index) => &mut value[*index],
    });
    table.as_object_mut().expect("it is a table")
}

/// Checks that the new problems follow the two rules.
fn new_problems_are_sound(before: &BTreeSet<String>, broken: &Value, key: &Key) {
    let after = problems(broken);
    let new: Vec<_> = after.iter().filter(|(_, what)| !before.contains(what)).collect();
    for (of, what) in &new {
        assert!(of.is_within(key), "{key} is wrong, and {of} is blamed: {what}\n{}", toml(broken));
        for stop in ["it must be", "it is missing", "it is missing:"] {
            assert!(!what.trim_end().ends_with(stop), "{of}: {what}");
        }
        for nothing in ["from null", "to null", "of another kind"] {
            assert!(!what.contains(nothing), "{of}: {what}");
        }
    }
}

#[test]
fn each_wrong_value_is_one_problem_that_says_what_is_allowed() {
    let (schema, whole) = (Schema::new(), whole());
    let before: BTreeSet<String> = problems(&whole).into_iter().map(|(_, what)| what).collect();
    let mut wrong = 0;
    for (place, of) in tables(&schema, &whole) {
        for (name, of) in properties(of) {
            let key = place.clone().name(name);
            // If other keys refer to its tables by name, another table breaks these keys too.
            let is_named = schema.resolved(of)["additionalProperties"].is_object();
            for value in values().into_iter().filter(|value| !(is_named && value.is_object())) {
                let mut broken = whole.clone();
                table(&mut broken, &place).insert(name.clone(), value);
                let is_wrong = schema.check(&broken).iter().any(|(wrong, _)| wrong.is_within(&key));
                if is_wrong {
                    wrong += 1;
                    new_problems_are_sound(&before, &broken, &key);
                    let said = problems(&broken);
                    let of_it = said.iter().filter(|(of, _)| of.is_within(&key)).count();
                    assert!(of_it >= 1, "{key}: nothing is said");
                }
            }
        }
        let mut broken = whole.clone();
        table(&mut broken, &place).insert("no-such-key".to_owned(), json!(1));
        new_problems_are_sound(&before, &broken, &place.clone().name("no-such-key"));
        for required in of["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut broken = whole.clone();
            table(&mut broken, &place).remove(required);
            let key = place.clone().name(required);
            new_problems_are_sound(&before, &broken, &key);
            assert!(
                problems(&broken).iter().any(|(of, what)| *of == key && what.starts_with("it is missing: "))
            );
        }
    }
    assert!(wrong > 500, "only {wrong} wrong values were tried");
}
