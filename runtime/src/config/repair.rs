//! Makes a file with errors readable, so that what else is wrong is found in the same go.

use serde_json::{Map, Value, json};

use super::Key;
use super::key::Step;

/// Takes the values out of a configuration that are wrong, and puts something in for what must be there. Adds
/// to `wrong` what it puts in: nothing that is said of these keys is true of the file.
pub(super) fn repair(config: &mut Value, wrong: &mut Vec<Key>) {
    for key in wrong.iter() {
        remove(config, key);
    }
    let root = Key::default();
    put(config, &root, "listeners", json!([]), wrong);
    let users = config.pointer_mut("/control/allow").and_then(Value::as_array_mut).into_iter().flatten();
    for (index, user) in users.enumerate() {
        let key = root.clone().name("control").name("allow").index(index);
        put(user, &key, "uid", json!(0), wrong);
        put(user, &key, "role", json!("read"), wrong);
    }
    let listeners = config["listeners"].as_array_mut().into_iter().flatten();
    for (index, listener) in listeners.enumerate() {
        let key = root.clone().name("listeners").index(index);
        put(listener, &key, "url", json!(""), wrong);
        if let Some(tls) = listener.get_mut("tls") {
            for file in ["certificate", "key"] {
                put(tls, &key.clone().name("tls"), file, json!(""), wrong);
            }
        }
    }
}

/// Takes a value out of its table. A codec or a listener becomes an empty one, so that others refer to it,
/// and count, as before; any other list goes as a whole.
fn remove(config: &mut Value, key: &Key) {
    let Some((last, steps)) = key.steps().split_last() else { return };
    let holder = steps.iter().try_fold(config, |value, step| match step {
        Step::Name(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(index),
    });
    match (steps, last, holder) {
        ([Step::Name(section)], Step::Name(name), Some(codecs)) if section == "codecs" => {
            codecs[name] = Value::Object(Map::new());
        }
        ([Step::Name(section)], Step::Index(index), Some(listeners)) if section == "listeners" => {
            listeners[*index] = Value::Object(Map::new());
        }
        (_, Step::Name(name), Some(Value::Object(table))) => drop(table.remove(name)),
        (_, Step::Index(_), Some(list)) => *list = json!([]),
        _ => (),
    }
}

/// Puts a value where there is none.
fn put(table: &mut Value, key: &Key, name: &str, value: Value, wrong: &mut Vec<Key>) {
    if let Value::Object(table) = table
        && !table.contains_key(name)
    {
        table.insert(name.to_owned(), value);
        wrong.push(key.clone().name(name));
    }
}
