//! Single bodies: which are accepted, which are rejected, and how failures are sent.

use serde_json::json;
use wireplug_pomelo::Fault;

use super::{OPTIONS, both_ways, decoded_body, notify};
use crate::rig::{Event, Server, hex, response};

fn reason<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Err(Fault::Rejected(reason)) => reason.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_routes_with_a_schema_are_protobuf() {
    let mut server = Server::working(OPTIONS);
    // A request with its route as a code: text "a", n 300, list [-1, 1].
    let packet = hex("0401070001").into_iter().chain(hex("0a016110ac021a020102")).collect::<Vec<_>>();
    let body = r#"{"text":"a","n":300,"list":[-1,1]}"#;
    assert_eq!(server.decode(&packet), Ok(vec![Event::request(7, "chat", body)]));
    assert_eq!(server.decode(&notify("other", b"{}")), Ok(vec![Event::notice("other", "{}")]));
    assert_eq!(server.decode(&notify("onChat", b"{}")), Ok(vec![Event::notice("onChat", "{}")]));
    assert_eq!(
        server.push("path", b"{}"),
        Ok(b"\x04\x06\x04path{}".to_vec()),
        "only the client has this schema"
    );

    let body = br#" {"body":{"words":["a","b"],"size":1.5},"from":"x","more":[{}]} "#;
    let expected = hex("04070002").into_iter().chain(hex("120b4201614201623d0000c03f0a0178")).collect();
    assert_eq!(server.push("onChat", body), Ok(expected));
}

/// Pomelo's browser clients write 2 for every wire type that should be 0.
#[test]
fn the_wire_type_of_a_field_is_ignored() {
    let mut server = Server::working(OPTIONS);
    for wire_type in 0..8 {
        let body = [0x08 | wire_type, 0x01, b'a', 0x10 | wire_type, 5, 0x18 | wire_type, 1, 3];
        assert_eq!(
            decoded_body(&mut server, &notify("chat", &body)),
            json!({"text": "a", "n": 5, "list": [-2]})
        );
    }
}

#[test]
fn an_empty_body_of_a_client_is_an_empty_object() {
    let mut server = Server::working(OPTIONS);
    assert_eq!(decoded_body(&mut server, &notify("chat", b"")), json!({}), "a required field may be missing");
}

#[test]
fn text_is_converted_from_and_to_surrogates() {
    let mut server = Server::working(OPTIONS);
    // An emoji in two surrogates of 3 bytes, then only the first of them.
    let body = hex("0a06eda0bdedb880");
    assert_eq!(decoded_body(&mut server, &notify("chat", &body)), json!({"text": "😀"}));
    assert_eq!(decoded_body(&mut server, &notify("chat", &hex("0a03eda0bd"))), json!({"text": "\u{fffd}"}));
    let escaped = br#"{"from":"\ud83d\ude00\u00e9\ud83d\n\/"}"#;
    let expected = [&hex("04070002")[..], b"\x0a\x0b", "😀é\u{fffd}\n/".as_bytes()].concat();
    assert_eq!(server.push("onChat", escaped), Ok(expected));
}

#[test]
fn an_invalid_body_of_a_client_is_rejected() {
    let mut server = Server::working(OPTIONS);
    for (body, word) in [
        ("0a", "the body is cut"),
        ("0a0261", "the body is cut"),
        ("10", "the body is cut"),
        ("1080", "the body is cut"),
        ("1a0302", "the body is cut"),
        ("1affffffffffffff0f02", "the body is cut"),
        ("0affffffffffffff0f61", "the body is cut"),
        ("10ffffffffffffff1f", "greater than 9007199254740991"),
        ("10ffffffffffffffffff01", "greater than 9007199254740991"),
        ("10808080808080808000", "greater than 9007199254740991"),
        ("2000", "the tag 4"),
        ("0000", "the tag 0"),
        ("f8ffffff0f00", "the tag 536870911"),
        ("10011002", "`n` twice"),
        ("1a010110011a0101", "`list` twice"),
        ("0a01ff", "`text` is not UTF-8"),
    ] {
        let refused = reason(server.decode(&notify("chat", &hex(body))));
        assert!(refused.starts_with("route chat: ") && refused.contains(word), "{body}: {refused}");
    }
    for (body, word) in [("0a0108", "the body is cut"), ("0a0911000000000000f07f", "`y` is no finite number")]
    {
        let refused = reason(server.decode(&notify("path", &hex(body))));
        assert!(refused.contains(word), "{body}: {refused}");
    }
    // The session still works.
    assert_eq!(decoded_body(&mut server, &notify("chat", &hex("0a0161"))), json!({"text": "a"}));
}

#[test]
fn a_body_that_the_schema_cannot_hold_is_rejected() {
    let schema = json!({
        "required uInt32 u": 1, "optional sInt32 s": 2, "optional float f": 3, "optional double d": 4,
        "optional string t": 5, "repeated uInt32 l": 6, "repeated M m": 7, "message M": {"required int32 i": 1},
    });
    let mut server = both_ways(&schema);
    for (body, word) in [
        ("{}", "lacks the field `u`"),
        ("", "lacks the field `u`"),
        ("null", "lacks the field `u`"),
        (r#"{"u":null}"#, "lacks the field `u`"),
        ("[]", "an object was expected"),
        ("{\"u\":1", "closing bracket"),
        ("{\"u\":1}x", "the end"),
        ("{\"u\":01}", "comma"),
        ("{\"u\":-}", "a number"),
        ("{\"u\":1.}", "a number"),
        ("{\"u\":tru}", "`u` is not a number"),
        ("{\"u\":}", "a value"),
        ("{\"u\":1,\"x\":tru}", "a value"),
        ("{\"u\":1,\"x\":[1,]}", "a number"),
        ("{\"u\":1,}", "a string"),
        ("{\"u\" 1}", "a colon"),
        ("{\"u\":1,\"x\":\"\\q\"}", "escape"),
        ("{\"u\":1,\"t\":\"\\ud8\"}", "escape"),
        ("{\"u\":1,\"t\":\"\u{1}\"}", "the end of a string"),
        ("{\"u\":1,\"t\":\"\\\"}", "the end of a string"),
        (r#"{"u":-1}"#, "`u` is -1, which its type cannot hold"),
        (r#"{"u":1.5}"#, "`u` is 1.5"),
        (r#"{"u":9007199254740992}"#, "`u` is 9007199254740992"),
        (r#"{"u":"1"}"#, "`u` is not a number"),
        (r#"{"u":true}"#, "`u` is not a number"),
        (r#"{"u":1,"u":1}"#, "`u` twice"),
        (r#"{"u":1,"s":4503599627370496}"#, "`s` is"),
        (r#"{"u":1,"f":1e39}"#, "`f` is 1e39"),
        (r#"{"u":1,"d":1e999}"#, "`d` is 1e999"),
        (r#"{"u":1,"t":5}"#, "`t` is not a string"),
        (r#"{"u":1,"l":5}"#, "`l` is not an array"),
        (r#"{"u":1,"l":[5,null]}"#, "`l` is not a number"),
        (r#"{"u":1,"m":[5]}"#, "`m` is not an object"),
        (r#"{"u":1,"m":[{}]}"#, "lacks the field `i`"),
    ] {
        let refused = reason(server.push("r", body.as_bytes()));
        assert!(refused.starts_with("route r: ") && refused.contains(word), "{body}: {refused}");
    }
    let deep = format!("{{\"x\":{}1{},\"u\":1}}", "[".repeat(100), "]".repeat(100));
    assert!(reason(server.push("r", deep.as_bytes())).contains("nested deeper than 64"));
    for body in
        [r#"{"u":1e2,"s":-0.0,"d":null,"l":[],"m":[]}"#, r#"{"x":[[{"y":"\"}"}],true],"\u0075":1e2,"s":0}"#]
    {
        assert_eq!(
            server.push("r", body.as_bytes()),
            Ok(b"\x04\x06\x01r\x08\x64\x10\x00".to_vec()),
            "{body}"
        );
    }
}

/// A few bytes can stand for a long name many times.
#[test]
fn a_converted_body_has_a_length_limit() {
    let name = "n".repeat(200);
    let message = format!("optional uInt32 {name}");
    let mut server =
        both_ways(&json!({ "repeated M m": 1, "message M": { message: 1 }, "optional string t": 2 }));
    let few = b"\x0a\x02\x08\x01".repeat(10);
    assert_eq!(decoded_body(&mut server, &notify("r", &few))["m"].as_array().map(Vec::len), Some(10));
    let many = b"\x0a\x02\x08\x01".repeat(1000);
    assert!(reason(server.decode(&notify("r", &many))).contains("too long as JSON"));
    let controls = [&b"\x12\xc0\x9a\x0c"[..], &[1; 200_000]].concat();
    assert!(reason(server.decode(&notify("r", &controls))).contains("too long as JSON"));
}

#[test]
fn a_failure_is_sent_as_its_code_and_need_not_be_complete() {
    let mut server = Server::working(OPTIONS);
    let mut respond =
        |route, status, body: &'static str| server.encode(&response(1, route, status, body.as_bytes()));
    assert_eq!(
        respond("chat", 404, ""),
        Ok(hex("0404010894").into_iter().chain([3]).collect()),
        "a number `code`"
    );
    assert_eq!(respond("silent", 404, ""), Ok(hex("040401")), "a `code` that is not a number");
    assert_eq!(respond("onChat", 500, ""), Ok(hex("040401")), "no `code`");
    assert_eq!(respond("other", 500, ""), Ok(b"\x04\x04\x01{\"code\":500}".to_vec()), "no schema");
    // A failure may lack required fields; a success may not.
    assert_eq!(respond("chat", 403, r#"{"code":4031}"#), Ok(hex("04040108bf1f")));
    assert!(reason(respond("chat", 200, r#"{"code":4031}"#)).contains("lacks the field `text`"));
    assert!(reason(respond("chat", 200, "")).contains("lacks the field `text`"));
    assert!(reason(respond("chat", 403, "x")).contains("an object was expected"));
}
