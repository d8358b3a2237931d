//! Checks what a codec gets of its options.

use wireplug_guest::testing::Client;
use wireplug_guest::{Description, Events, Fault, Instant, Message, Packets, Session, Simple};

#[derive(Debug, serde::Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    heartbeat: u32,
}

#[test]
fn routes_are_apart_from_the_options() {
    let options = r#"{"heartbeat":3,"routes":["a","b"]}"#;
    let read = wireplug_guest::options_and_routes(options).unwrap();
    assert_eq!(read, (Options { heartbeat: 3 }, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(wireplug_guest::options::<Options>("{}"), Ok(Options { heartbeat: 0 }));
}

#[test]
fn wrong_options_are_errors() {
    let unknown = wireplug_guest::options::<Options>(r#"{"heart":3}"#).unwrap_err();
    assert!(unknown.contains("heart") && unknown.contains("heartbeat"), "{unknown}");
    assert!(wireplug_guest::options::<Options>("[]").is_err());
    assert!(wireplug_guest::options::<Options>(r#"{"routes":3}"#).is_err());
}

/// A codec without options.
#[derive(Debug, Default)]
struct Silent;

impl Simple for Silent {
    fn describe() -> Description {
        Description::new("silent", "1")
    }
}

impl Session for Silent {
    fn decode(&mut self, _packet: &[u8], _now: Instant, _events: &mut Events) -> Result<(), Fault> {
        Ok(())
    }

    fn encode(&mut self, _message: &Message, _now: Instant, _packets: &mut Packets) -> Result<(), Fault> {
        Ok(())
    }
}

#[test]
fn a_codec_without_options_accepts_only_routes() {
    assert!(Client::<Silent>::open(r#"{"routes":["a"]}"#).is_ok());
    assert!(Client::<Silent>::open(r#"{"heartbeat":3}"#).is_err());
}
