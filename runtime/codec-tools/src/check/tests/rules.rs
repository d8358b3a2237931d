//! Tests that the check finds a guest that breaks a rule of the contract, and names the rule.

use wireplug_core::vectors::Vectors;
use wireplug_tests::hostile::Guest;
use wireplug_tests::hostile::rules::{self, Kind, batch};

use crate::check::{Check, Property};

/// A session with a packet that makes a guest break its rule.
const PACKET: &str = "session\nin '!'\n";

/// A session that the runtime ends.
const FAREWELL: &str = "session\nfarewell kicked 'x'\n";

/// A session whose packet is decoded as two requests.
const RESPONSES: &str = "session\nin '!'\nout response 1 '' 200 'x'\nout response 2 '' 200 'x'\n";

fn assert_breaks(guest: &Guest, vectors: &str, rule: &str) {
    let vectors = Vectors::parse(vectors).unwrap_or_else(|bad| panic!("{bad}"));
    let wasm = guest.build();
    // The first case is the session of the vectors.
    let report = Check::new(&wasm).vectors(&vectors).only(0).run(&mut |_| {});
    let failure = report.failures().find(|(property, _)| *property == Property::Robust);
    let (_, failure) = failure.unwrap_or_else(|| panic!("{rule}: {report}"));
    assert!(failure.what.starts_with("answer breaks the contract: "), "{rule}: {report}");
    assert!(failure.what.contains(rule), "{rule}: {report}");
}

#[test]
fn a_broken_rule_of_messages_is_named() {
    const STATUS: &str = "a status is out of range";
    const RESPONSE: &str = "a response from a codec whose `client-requests` is 0";
    for (guest, rule) in [
        (rules::notice_with_an_id(), "a notice has an id"),
        (rules::notice_with_a_status(), STATUS),
        (rules::request_with_a_status(), STATUS),
        (rules::response_with_status(rules::STATUSES[0]), STATUS),
        (rules::response_without_client_requests(), RESPONSE),
        (batch::notice_with_an_id(), "a notice has an id"),
        (batch::notice_with_a_status(), STATUS),
        (batch::request_with_a_status(), STATUS),
        (batch::response_with_status(rules::STATUSES[0]), STATUS),
        (batch::response_without_client_requests(), RESPONSE),
    ] {
        assert_breaks(&guest, PACKET, rule);
    }
}

#[test]
fn a_broken_rule_of_events_is_named() {
    const FIELD: &str = "an event has a role, an id or a status that its kind does not have";
    const HELLO: &str = "an event after `hello`, which must be the last event of a call";
    for (guest, rule) in [
        (rules::event_behind_hello(), HELLO),
        (rules::close_with_code(rules::CLOSE_CODES[0]), "a close code is not"),
        (batch::event_behind_hello(), HELLO),
        (batch::close_with_code(batch::CLOSE_CODES[0]), "a close code is not"),
        (batch::timer_above_32_bits(), "the milliseconds of a timer are more than 32 bits"),
        (batch::log_level_above_error(), "the level of a log entry is over 3"),
        (batch::head_with_an_id(Kind::Reply), FIELD),
        (batch::head_with_a_status(Kind::Reply), FIELD),
        (batch::head_with_a_role(Kind::Reply), FIELD),
    ] {
        assert_breaks(&guest, PACKET, rule);
    }
}

#[test]
fn a_broken_rule_of_farewells_is_named() {
    for (guest, rule) in [
        (rules::established_in_farewell(), "a `established` event in a farewell"),
        (rules::message_in_farewell(), "a `message` event in a farewell"),
    ] {
        assert_breaks(&guest, FAREWELL, rule);
    }
}

#[test]
fn a_broken_rule_of_sources_is_named() {
    const SOURCES: &str = "the sources of packets are out of order or out of range";
    for (guest, rule) in [
        (batch::sources_too_few(), SOURCES),
        (batch::sources_too_many(), SOURCES),
        (batch::sources_going_down(), SOURCES),
        (batch::source_of_no_message(), SOURCES),
        (batch::source_of_a_refused_message(), "a message that was refused has a packet"),
    ] {
        assert_breaks(&guest, RESPONSES, rule);
    }
}
