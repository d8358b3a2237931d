//! Guests that each break one rule of the contract: the connection ends by a violation that names
//! the rule, and no other connection notices.

use wireplug::config::CodecLimits;
use wireplug_base::Chain;
use wireplug_tests::hostile::rules::batch::{OF_NO_MESSAGE, WITHOUT_NUMBER};
use wireplug_tests::hostile::rules::{self, CLOSE_CODES, FLOOD, STATUSES, batch};
use wireplug_tests::hostile::{Guest, MessageFraming};
use wireplug_tests::log;
use wireplug_tests::raw::Raw;
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::trial::Trial;

const STATUS: &str = "a status is out of range: 100 to 599 in a response, 200 in any other message";
const STRAY_RESPONSE: &str = "a response from a codec whose `client-requests` is 0";
const AFTER_HELLO: &str = "an event after `hello`, which must be the last event of a call";
const CLOSE_CODE: &str = "a close code is not 0, 1000 to 1003, 1007 to 1014 or 3000 to 4999";
const STRAY_FIELD: &str = "an event has a role, an id or a status that its kind does not have";
const SOURCES: &str = "the sources of packets are out of order or out of range, or not one for each packet";

/// Checks that each guest ends the connection of the client that sends it a packet with `!`, while
/// neighbours use the same codec.
async fn strikes(guests: Vec<(Guest, &str)>) {
    for (guest, text) in guests {
        let trial = Trial::begin(&guest).await;
        let line = trial.ends(b"!\n", "codec-violation").await;
        assert!(line.contains(text), "{line}");
        trial.end().await;
    }
}

/// Checks that each guest ends the connection of the client that sends it a packet.
async fn always(guests: Vec<(Guest, &str)>) {
    for (guest, text) in guests {
        let trial = Trial::alone(&guest).await;
        let line = trial.ends(b"?\n", "codec-violation").await;
        assert!(line.contains(text), "{line}");
        trial.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_the_fields_of_its_role() {
    let mut guests = vec![
        (rules::notice_with_an_id(), "a notice has an id"),
        (rules::notice_with_a_status(), STATUS),
        (rules::request_with_a_status(), STATUS),
        (rules::response_without_client_requests(), STRAY_RESPONSE),
    ];
    guests.extend(STATUSES.map(|status| (rules::response_with_status(status), STATUS)));
    strikes(guests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_batch_has_the_fields_of_its_role() {
    let mut guests = vec![
        (batch::notice_with_an_id(), "a notice has an id"),
        (batch::notice_with_a_status(), STATUS),
        (batch::request_with_a_status(), STATUS),
        (batch::response_without_client_requests(), STRAY_RESPONSE),
    ];
    guests.extend(STATUSES.map(|status| (batch::response_with_status(status), STATUS)));
    always(guests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_has_a_code_that_may_be_sent() {
    strikes(CLOSE_CODES.map(|code| (rules::close_with_code(code), CLOSE_CODE)).into()).await;
    always(batch::CLOSE_CODES.map(|code| (batch::close_with_code(code), CLOSE_CODE)).into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_a_hello() {
    always(vec![(rules::event_behind_hello(), AFTER_HELLO), (batch::event_behind_hello(), AFTER_HELLO)])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_the_fields_of_its_kind() {
    let mut guests = vec![
        (batch::timer_above_32_bits(), "the milliseconds of a timer are more than 32 bits"),
        (batch::log_level_above_error(), "the level of a log entry is over 3"),
    ];
    guests.extend(WITHOUT_NUMBER.map(|kind| (batch::head_with_an_id(kind), STRAY_FIELD)));
    guests.extend(OF_NO_MESSAGE.map(|kind| (batch::head_with_a_status(kind), STRAY_FIELD)));
    guests.extend(OF_NO_MESSAGE.map(|kind| (batch::head_with_a_role(kind), STRAY_FIELD)));
    always(guests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_packet_has_its_message() {
    always(vec![
        (batch::sources_too_few(), SOURCES),
        (batch::sources_too_many(), SOURCES),
        (batch::sources_going_down(), SOURCES),
        (batch::source_of_no_message(), SOURCES),
        (batch::source_of_a_refused_message(), "a message that was refused has a packet"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farewell_says_nothing_else() {
    let trial = Trial::begin(&rules::message_in_farewell()).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    client.send(b"hello\n").await;
    assert_eq!(client.line().await, "hello");
    let address = client.address().to_string();
    trial.server.sessions().matching(|session| session.client().address == address).kick("enough");
    client.rest().await;
    let line = trial.closing_line(client.address()).await;
    assert!(line.contains("cause=\"codec-violation\""), "{line}");
    assert!(line.contains("a `message` event in a farewell"), "{line}");
    trial.end().await;
}

#[test]
fn a_description_makes_sense() {
    let load = |guest: Guest| {
        let limits = CodecLimits::default();
        let engine = WasmEngine::new(2, limits.memory).expect("room for few sandboxes");
        let error = WasmLoader::new(&engine, limits).load(&guest.build(), "{}".into()).err();
        Chain::of(&error.expect("its description makes no sense")).to_string()
    };
    for messages in [MessageFraming::None, MessageFraming::Framed, MessageFraming::Continuous] {
        let error = load(rules::tagged_messages(messages));
        assert!(
            error.contains("its packets are `tagged`, which needs `one` packet in each message"),
            "{error}"
        );
    }
    let error = load(rules::max_packet_of_zero());
    assert!(error.contains("its `max-packet` is 0"), "{error}");
}

/// The lines of all codecs together are limited, so a codec cannot fill the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_lines_is_limited() {
    let trial = Trial::begin(&rules::log_flood()).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    client.send(b"!flood\n").await;
    assert_eq!(client.line().await, "!flood", "the flood costs nobody the connection");
    let lines = log::lines(&["!flood", "the codec says"]).len();
    assert!((1..FLOOD / 10).contains(&lines), "{lines} lines");
    drop(client);
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_line_is_escaped() {
    let trial = Trial::begin(&rules::log_of_control_characters()).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    client.send(b"!\n").await;
    assert_eq!(client.line().await, "!");
    let line = log::lines(&["forged text"]).pop().expect("the codec's line");
    assert!(line.contains(r"\u{1b}[31mred\n2026-01-01 WARN forged text\r\0"), "{line}");
    assert!(line.contains("connection{id="), "it has the fields of the session: {line}");
    drop(client);
    trial.end().await;
}
