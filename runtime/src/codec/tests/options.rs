//! A codec learns the application's routes, unless its options name some.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::codec::options_with_routes;

fn with_routes(options: Value) -> Value {
    let routes: [Arc<str>; 2] = ["a.b.c".into(), "a.b.\"d".into()];
    let Value::Object(options) = options else { panic!("options are an object") };
    serde_json::from_str(&options_with_routes(options, &routes)).unwrap()
}

#[test]
fn routes_are_added_in_order() {
    assert_eq!(with_routes(json!({})), json!({ "routes": ["a.b.c", "a.b.\"d"] }));
    assert_eq!(with_routes(json!({ "x": 1 })), json!({ "x": 1, "routes": ["a.b.c", "a.b.\"d"] }));
}

#[test]
fn routes_of_the_options_stay() {
    assert_eq!(with_routes(json!({ "routes": ["own"] })), json!({ "routes": ["own"] }));
    assert_eq!(with_routes(json!({ "routes": [] })), json!({ "routes": [] }));
}
