//! Properties that hold for every body.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use wireplug_pomelo::client::{Client, ClientError, Incoming};

use super::{both_ways, notify};
use crate::rig::{Event, Pair, raw, response};

fn schema() -> Value {
    json!({
        "required uInt32 u": 1, "optional sInt32 s": 2, "optional int32 i": 20, "optional float f": 3,
        "optional double d": 400, "optional string t": 5, "repeated uInt32 us": 6, "repeated sInt32 ss": 7,
        "repeated float fs": 8, "repeated double ds": 9, "repeated string ts": 10, "repeated M ms": 11,
        "optional M m": 12, "message M": {
            "optional uInt32 a_long_name\u{e9}": 1,
            "repeated N ns": 2, "message N": {"optional string t": 1},
        },
    })
}

fn unsigned() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, 0..=9_007_199_254_740_991_u64]
}

fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![-300..300_i64, -4_503_599_627_370_496..=4_503_599_627_370_495_i64]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, (-9..9_i8).prop_map(f64::from)]
}

fn float() -> impl Strategy<Value = f32> {
    prop_oneof![proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL, (-9..9_i8).prop_map(f32::from)]
}

fn inner() -> impl Strategy<Value = Value> {
    let names = vec(".{0,4}".prop_map(|t| json!({ "t": t })), 1..3);
    (unsigned(), names).prop_map(|(a, ns)| json!({ "a_long_name\u{e9}": a, "ns": ns }))
}

prop_compose! {
    fn body()(
        u in unsigned(), s in signed(), i in signed(), f in float(), d in double(), t in "\\PC{0,20}|.{0,200}",
        us in vec(unsigned(), 1..200), ss in vec(signed(), 1..4), fs in vec(float(), 1..4),
        ds in vec(double(), 1..4), ts in vec(".{0,5}", 1..4), ms in vec(inner(), 1..4), m in inner(),
        left_out: u16,
    ) -> Value {
        let mut body = json!({
            "s": s, "i": i, "f": f, "d": d, "t": t, "us": us, "ss": ss, "fs": fs, "ds": ds, "ts": ts, "ms": ms, "m": m,
        });
        let members = body.as_object_mut().unwrap();
        let mut index = 0;
        members.retain(|_, _| { index += 1; left_out >> (index - 1) & 1 == 0 });
        members.insert("u".into(), json!(u));
        body
    }
}

proptest! {
    #[test]
    fn a_decoded_body_equals_the_encoded_body(body in body()) {
        let mut server = both_ways(&schema());
        let packet = server.push("r", body.to_string().as_bytes()).expect("the body is valid");
        let events = server.decode(&notify("r", &packet[4..])).expect("the session has encoded the body");
        let [Event::Notice(_, json)] = &events[..] else { panic!("{events:?}") };
        prop_assert_eq!(TypedBody::of(&serde_json::from_slice(json).unwrap(), ""), TypedBody::of(&body, ""));
        // The second encoding has the same bits.
        prop_assert_eq!(server.push("r", json), Ok(packet));
    }

    #[test]
    fn no_body_panics(bytes in vec(prop_oneof![0..8_u8, Just(0x0a), Just(0x5a), Just(0x80), any::<u8>()], 0..60)) {
        let decoded = both_ways(&schema()).decode(&notify("r", &bytes));
        if let Ok(events) = decoded {
            let [Event::Notice(_, json)] = &events[..] else { panic!("{events:?}") };
            prop_assert!(serde_json::from_slice::<Value>(json).is_ok(), "{}", json.escape_ascii());
        }
    }

    /// Cuts a valid body, or changes one byte of it.
    #[test]
    fn no_damaged_body_panics(body in body(), at: prop::sample::Index, byte: Option<u8>) {
        let mut server = both_ways(&schema());
        let packet = server.push("r", body.to_string().as_bytes()).expect("the body is valid");
        let mut bytes = packet[4..].to_vec();
        let at = at.index(bytes.len());
        match byte {
            Some(byte) => bytes[at] = byte,
            None => bytes.truncate(at),
        }
        let decoded = server.decode(&notify("r", &bytes));
        if let Ok(events) = decoded {
            let [Event::Notice(_, json)] = &events[..] else { panic!("{events:?}") };
            prop_assert!(serde_json::from_slice::<Value>(json).is_ok(), "{}", json.escape_ascii());
        }
    }

    #[test]
    fn the_json_reader_accepts_what_serde_json_accepts(
        text in "[\\[\\]{}:,\"\\\\ux0-9a-f.eE+ \\-]{0,12}|(true|false|null|\"\\\\u[0-9a-fD]{4}\"|-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?)",
    ) {
        let body = format!("{{\"u\":1,\"x\":{text}}}");
        let accepted = both_ways(&schema()).push("r", body.as_bytes());
        let wanted = serde_json::from_str::<Value>(&body);
        // The reader accepts unpaired surrogates and refuses a member that occurs twice. serde_json
        // refuses a number that exceeds every double.
        let differs = body.contains("\\u") || body.contains("\"u\":1,\"u\"") || wanted.is_err() && body.contains(['e', 'E']);
        prop_assert!(differs || accepted.is_ok() == wanted.is_ok(), "{body}: {accepted:?}, {wanted:?}");
    }

    #[test]
    fn bodies_travel_between_a_client_and_a_session(there in body(), back in body(), chunk in 1..50_usize) {
        let options = json!({ "routes": ["r"], "protos": { "server": { "r": schema() }, "client": { "r": schema() } } });
        let (mut pair, _) = Pair::connect(Client::new(), &options.to_string(), None, chunk);
        for connection in ["sent", "kept"] {
            let mut out = Vec::new();
            let id = pair.client.request("r", there.to_string().as_bytes(), &mut out).unwrap();
            let events = pair.send(&out);
            let [Event::Request(decoded, _, json)] = &events[..] else { panic!("{events:?}") };
            prop_assert_eq!(*decoded, id);
            prop_assert_eq!(TypedBody::of(&serde_json::from_slice(json).unwrap(), ""), TypedBody::of(&there, ""), "{}", connection);
            let packet = pair.server.encode(&response(id, "r", 200, back.to_string().as_bytes())).unwrap();
            let (incoming, _) = pair.receive(&raw(&packet));
            let [Incoming::Response { body, .. }] = &incoming[..] else { panic!("{incoming:?}") };
            prop_assert_eq!(TypedBody::of(&serde_json::from_slice(body).unwrap(), ""), TypedBody::of(&back, ""), "{}", connection);
            let refused = pair.client.request("r", b"{}", &mut out);
            prop_assert!(matches!(refused, Err(ClientError::Body(_))), "{refused:?}");
            let (again, ready) = Pair::connect(pair.client, &options.to_string(), None, chunk);
            let Incoming::Ready { sys, .. } = ready else { panic!("{ready:?}") };
            prop_assert_eq!(sys, json!({ "useDict": true, "useProto": true }));
            pair = again;
        }
    }
}

/// A body whose floats and doubles have their own types. The names of the fields determine them.
#[derive(Debug, PartialEq)]
enum TypedBody {
    Float(f32),
    Double(Near),
    Array(Vec<TypedBody>),
    Object(Vec<(String, TypedBody)>),
    Other(Value),
}

impl TypedBody {
    fn of(value: &Value, name: &str) -> Self {
        match value {
            Value::Object(members) => Self::Object(
                members.iter().map(|(name, member)| (name.clone(), Self::of(member, name))).collect(),
            ),
            Value::Array(items) => Self::Array(items.iter().map(|item| Self::of(item, name)).collect()),
            Value::Number(number) if name.starts_with('f') => {
                Self::Float(number.to_string().parse().expect("the text is a number"))
            }
            Value::Number(number) if name.starts_with('d') => {
                Self::Double(Near(number.as_f64().expect("the text is a number")))
            }
            other => Self::Other(other.clone()),
        }
    }
}

/// A double from serde_json, whose last bits may be wrong.
#[derive(Debug)]
struct Near(f64);

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() <= self.0.abs() * 1e-14
    }
}
