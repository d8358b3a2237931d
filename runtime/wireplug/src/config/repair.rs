//! Makes a file with errors readable, so that the other errors in it are found in the same run.

use serde_json::{Map, Value, json};

use super::Key;
use super::key::Step;
use super::schema::Schema;
use wireplug_base::units::IP_PORT;

/// Removes the wrong values from a configuration, and inserts placeholders for required values.
/// Adds the keys of the placeholders to `wrong`, because an error about these keys would not
/// concern the file.
pub(super) fn repair(config: &mut Value, schema: &Schema, wrong: &mut Vec<Key>) {
    for key in wrong.iter() {
        remove(config, key);
    }
    fill(config, schema, &schema.json, &Key::default(), wrong);
}

/// Removes a value from its table. A codec, a service or a listener becomes an empty table. So
/// other keys can still refer to it, and the indices of the other listeners stay the same. Any
/// other list is emptied.
fn remove(config: &mut Value, key: &Key) {
    let Some((last, steps)) = key.steps().split_last() else { return };
    let holder = steps.iter().try_fold(config, |value, step| match step {
        Step::Name(name) => value.get_mut(name),
        Step::Index(index) => value.get_mut(index),
    });
    match (steps, last, holder) {
        ([Step::Name(section)], Step::Name(name), Some(tables))
            if ["codecs", "services"].contains(&&**section) =>
        {
            tables[name] = Value::Object(Map::new());
        }
        ([Step::Name(section)], Step::Index(index), Some(listeners)) if section == "listeners" => {
            listeners[*index] = Value::Object(Map::new());
        }
        (_, Step::Name(name), Some(Value::Object(table))) => drop(table.remove(name)),
        (_, Step::Index(_), Some(list)) => *list = json!([]),
        _ => (),
    }
}

/// Inserts a placeholder for each required value that is missing, in a table and in the tables
/// within it.
fn fill(value: &mut Value, schema: &Schema, of: &Value, key: &Key, wrong: &mut Vec<Key>) {
    let of = schema.resolved(of);
    match value {
        Value::Object(table) => {
            let required = of["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for name in required.filter(|name| !table.contains_key(*name)).collect::<Vec<_>>() {
                table.insert(name.to_owned(), placeholder(schema.resolved(&of["properties"][name])));
                wrong.push(key.clone().name(name));
            }
            for (name, value) in table {
                let of = of["properties"].get(name).unwrap_or(&of["additionalProperties"]);
                fill(value, schema, of, &key.clone().name(name), wrong);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                fill(value, schema, &of["items"], &key.clone().index(index), wrong);
            }
        }
        _ => (),
    }
}

/// Returns a value that the type of a key accepts.
fn placeholder(of: &Value) -> Value {
    if let Some(choice) = of["oneOf"].as_array().and_then(|choices| choices.first()) {
        return choice["const"].clone();
    }
    match of["type"].as_str() {
        Some("array") => json!([]),
        Some("integer") => of["minimum"].clone(),
        // Port 0 is that of no other listener.
        _ if of["format"] == IP_PORT => json!("127.0.0.1:0"),
        _ => json!(""),
    }
}
