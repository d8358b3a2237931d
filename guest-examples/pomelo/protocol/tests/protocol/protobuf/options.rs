//! Errors in the option `protos`. Each one says where it is, and what is wrong.

use serde_json::{Map, Value, json};
use wireplug_pomelo::Options;

fn refusal(protos: &Value) -> String {
    let options = json!({ "protos": protos }).to_string();
    Options::parse(&options).err().unwrap_or_else(|| panic!("accepted: {:.200}", options))
}

#[test]
fn protos_must_be_schemas_by_side_and_route() {
    for (protos, word) in [
        (json!(1), "an object with `server` and `client`"),
        (json!({"servers": {}}), "unknown key `servers`"),
        (json!({"server": []}), "an object with `server` and `client`"),
        (json!({"server": {"": {}}}), "empty route"),
        (json!({"client": {"r": 1}}), "`protos.client`, route `r`: a schema must be an object"),
    ] {
        let refused = refusal(&protos);
        assert!(refused.contains("`protos") && refused.contains(word), "{protos}: {refused}");
    }
}

#[test]
fn a_wrong_schema_is_refused_with_its_route() {
    for (schema, word) in [
        (json!({"uInt32 a": 1}), "the key `uInt32 a` must be `required TYPE NAME`"),
        (json!({"required  uInt32 a": 1}), "with one space between"),
        (json!({"required uInt32 ": 1}), "with one space between"),
        (json!({"required uInt32 a b": 1}), "with one space between"),
        (json!({"message": {}}), "with one space between"),
        (json!({"required uInt32 __tags": 1}), "`__tags` must not begin with `__`"),
        (json!({"required bool a": 1}), "`a` has the unknown type `bool`; allowed are uInt32"),
        (json!({"required uInt64 a": 1}), "unknown type `uInt64`"),
        (json!({"required uInt32 a": 0}), "the tag of `a` must be a whole number from 1 to 268435455"),
        (json!({"required uInt32 a": 268_435_456}), "the tag of `a`"),
        (json!({"required uInt32 a": "1"}), "the tag of `a`"),
        (json!({"required uInt32 a": 1, "optional string b": 1}), "have the same tag, 1"),
        (json!({"required uInt32 a": 1, "optional string a": 2}), "two fields with the name `a`"),
        (json!({"message string": {}}), "can't have the name `string`"),
        (json!({"message sInt64": {}}), "can't have the name `sInt64`"),
        (json!({"message M": 1}), "message `M`: a schema must be an object"),
        (json!({"message M": {"required X x": 1}}), "message `M`: `x` has the unknown type `X`"),
        // As in Pomelo, a message sees only its own types and those next to the routes.
        (
            json!({"message A": {}, "message B": {"optional A a": 1}}),
            "message `B`: `a` has the unknown type `A`",
        ),
    ] {
        let refused = refusal(&json!({"server": {"r": schema}}));
        assert!(refused.starts_with("`protos.server`, route `r`"), "{refused}");
        assert!(refused.contains(word), "{schema}: {refused}");
    }
    let many: Map<_, _> = (1..=257).map(|tag| (format!("optional uInt32 f{tag}"), json!(tag))).collect();
    assert!(refusal(&json!({"client": {"r": many}})).contains("at most 256 fields"));
}

#[test]
fn a_wrong_message_next_to_the_routes_is_refused() {
    for (schemas, word) in [
        (json!({"message M": {"optional M m": 1}}), "message `M`: it contains itself"),
        (json!({"message A": {"repeated B b": 1}, "message B": {"optional A a": 1}}), "it contains itself"),
        (json!({"message float": {}}), "can't have the name `float`"),
        (json!({"message a b": {}}), "can't have the name `a b`"),
        (json!({"message M": []}), "`protos.server`, message `M`: a schema must be an object"),
    ] {
        let refused = refusal(&json!({"server": schemas}));
        assert!(refused.contains(word), "{schemas}: {refused}");
    }
}

#[test]
fn schemas_have_a_limit_of_levels_and_of_length() {
    let chain = |length: usize| -> Map<String, Value> {
        let link = |n: usize| (format!("message M{n}"), json!({ format!("optional M{} m", n + 1): 1 }));
        (1..length).map(link).chain([(format!("message M{length}"), json!({}))]).collect()
    };
    assert!(Options::parse(&json!({"protos": {"server": chain(32)}}).to_string()).is_ok());
    assert!(refusal(&json!({"server": chain(33)})).contains("nested 32 levels deep"));
    assert!(refusal(&json!({"server": chain(5000)})).contains("nested 32 levels deep"));
    let mut nested = json!({});
    for _ in 0..32 {
        nested = json!({ "message M": nested });
    }
    assert!(refusal(&json!({"server": {"r": nested}})).contains("nested 32 levels deep"));
    let long: Map<_, _> =
        (0..6000).map(|n| (format!("r{n}"), json!({"optional uInt32 abcdef": 1}))).collect();
    assert!(refusal(&json!({"client": long})).contains("524288 are allowed"));
}

#[test]
fn protos_without_routes_count_as_none() {
    for protos in [json!({}), json!({"server": {}}), json!({"client": {"message M": {}}})] {
        let mut server = crate::rig::Server::greeted(&json!({ "protos": protos }).to_string());
        let expected = b"\x01{\"code\":200,\"sys\":{}}".to_vec();
        assert_eq!(server.answer(200, b""), [crate::rig::Event::Reply(expected)], "{protos}");
    }
}
