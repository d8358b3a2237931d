//! Calls every function of a codec, with arguments from the fuzzer's bytes. A codec that is called
//! directly is also called through the component API, and must answer the same.

use std::sync::Arc;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wireplug::session::fuzzing::FuzzedSession;
use wireplug_core::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, Encoded, Event, Events, Instant, MessageRef, Messages,
    fuzzing,
};
use wireplug_core::framing::Packets;
use wireplug_wasm::WasmCodec;

use super::neighbour::peer;
use super::{LIMITS, tally};

/// The steps of a session that a machine drives.
const STEPS: usize = 8;

/// The most sessions that are opened one after the other because the previous one failed.
const SESSIONS: usize = 3;

/// Drives sessions as the runtime does, then calls each function by itself.
pub fn all(codec: &WasmCodec, input: &mut Unstructured<'_>, kind: &'static str) -> Result<()> {
    for _ in 0..SESSIONS {
        if input.is_empty() || !drive(codec, input, kind)? {
            break;
        }
    }
    let rest = input.peek_bytes(input.len()).unwrap_or_default();
    let directly = one_by_one(codec, &mut Unstructured::new(rest), kind)?;
    let reference = one_by_one(&codec.component_calls(), &mut Unstructured::new(rest), kind)?;
    // Limits of time depend on the machine, and what one sandbox may have depends on the others.
    let is_limit =
        |given: &String| ["deadline: ", "slow: ", "no room: "].iter().any(|limit| given.starts_with(limit));
    if !directly.iter().chain(&reference).any(is_limit) {
        assert_eq!(directly, reference, "directly, and through the component API");
    }
    assert!(codec.memory() <= LIMITS.memory, "more is charged than the one sandbox that is left has");
    Ok(())
}

/// Drives a session through some steps. Returns false if it did not open.
fn drive(codec: &WasmCodec, input: &mut Unstructured<'_>, kind: &'static str) -> Result<bool> {
    let opened = match codec.open(peer(), Instant::for_test(0)) {
        Ok(opened) => opened,
        Err(error) => {
            fault(kind, &error);
            return Ok(false);
        }
    };
    let mut now_ms = 0;
    let mut session = FuzzedSession::new(codec, opened, LIMITS.max_packet);
    for _ in 0..STEPS {
        if session.is_over() {
            break;
        }
        now_ms += u64::from(input.arbitrary::<u16>()?);
        let now = Instant::for_test(now_ms);
        let length = input.int_in_range(0..=64)?;
        let bytes = input.bytes(length.min(input.len()))?;
        match input.int_in_range(0..=7)? {
            0..=2 => {
                session.receive(bytes, now);
                // Both framings of a generated guest find a packet in these bytes: a line, or a
                // packet after its length.
                session.receive(b"\n\0\0\0\x02ab\n", now);
            }
            3 => session.push("onEvent", bytes, now),
            4 => session.on_time(now),
            5 => drop(session.hand_over(codec, peer(), now).inspect_err(|error| fault(kind, error))),
            6 => {
                if let Ok(candidate) = codec.open(peer(), Instant::for_test(0)) {
                    session.shadow_with(candidate);
                }
            }
            _ => session.farewell(*input.choose(&Cause::ALL)?, &String::from_utf8_lossy(bytes), now),
        }
        assert!(codec.memory() <= LIMITS.total_memory, "more is charged than all sandboxes may have");
    }
    if let Some(error) = session.fault() {
        fault(kind, error);
    } else {
        tally::count(kind, "session without a fault", "");
    }
    Ok(true)
}

/// Calls each function in a session, and opens a new session after a failure. Returns what each
/// call has given.
fn one_by_one(codec: &WasmCodec, input: &mut Unstructured<'_>, kind: &'static str) -> Result<Vec<String>> {
    let Abilities { handshake, clock, farewell, broadcast, handoff, .. } = codec.abilities();
    let (packets, messages) = (packets(input)?, messages(input)?);
    let bytes = input.bytes(input.len().min(256))?;
    let at = Instant::for_test;
    let asks: [(bool, &dyn Fn(&mut dyn CodecSession) -> std::result::Result<String, CodecError>); 7] = [
        (broadcast, &|session| session.broadcast_class().map(|class| format!("{class:?}"))),
        (true, &|session| {
            let mut events = Events::new();
            session.decode(&packets, at(1), &mut events)?;
            check(events, packets.len())
        }),
        (true, &|session| {
            let mut encoded = Encoded::default();
            session.encode(&messages, at(2), &mut encoded)?;
            assert!(fuzzing::check(&encoded, messages.len()), "an answer is handed out unchecked");
            Ok(format!("{encoded:?}"))
        }),
        (handshake, &|session| {
            let mut events = Events::new();
            session.answer(200, bytes, at(3), &mut events)?;
            check(events, 1)
        }),
        (clock, &|session| {
            let mut events = Events::new();
            session.tick(at(4), &mut events)?;
            check(events, 1)
        }),
        (handoff, &|session| {
            let state = session.save()?;
            drop(codec.restore(peer(), &state, at(5))?);
            codec.restore(peer(), bytes, at(5)).map(|_| format!("{state:?}"))
        }),
        (farewell, &|session| {
            let mut events = Events::new();
            session.farewell(Cause::Shutdown, "the fuzzer ends it", at(6), &mut events)?;
            check(events, 1)
        }),
    ];
    let mut given = Vec::new();
    let mut session = None;
    for (_, ask) in asks.into_iter().filter(|(asked, _)| *asked) {
        let mut opened = match session.take().map_or_else(|| codec.open(peer(), at(0)), Ok) {
            Ok(opened) => opened,
            Err(error) => {
                fault(kind, &error);
                given.push(error.to_string());
                break;
            }
        };
        let asked = ask(&mut *opened);
        match &asked {
            Ok(_) => session = Some(opened),
            Err(error) => fault(kind, error),
        }
        given.push(asked.unwrap_or_else(|error| error.to_string()));
    }
    if broadcast {
        for class in [0, u32::MAX] {
            let shared = codec.encode_shared(class, MessageRef::notice("onEvent", bytes));
            if let Err(error) = &shared {
                fault(kind, error);
            }
            given.push(shared.map_or_else(|error| error.to_string(), |packets| format!("{packets:?}")));
        }
    }
    Ok(given)
}

/// Reads events as the machine does. Checks that all data is within the answer.
fn check(mut events: Events, packets: usize) -> std::result::Result<String, CodecError> {
    let given = format!("{events:?}");
    let held = fuzzing::byte_len(&events);
    let mut reader = events.read(packets);
    let mut seen = 0;
    while let Some(event) = reader.next_event() {
        seen += match event? {
            Event::Message { route, body, .. } => route.len() + body.len(),
            Event::Hello(body) => body.len(),
            Event::Reply(bytes)
            | Event::Log { text: bytes, .. }
            | Event::Close { reason: bytes, .. }
            | Event::Rejected(bytes)
            | Event::Fatal(bytes) => bytes.len(),
            Event::Established | Event::Timer(_) | Event::AddressVerified => 0,
        };
        assert!(seen <= held, "more was handed out than there is");
    }
    Ok(given)
}

fn packets(input: &mut Unstructured<'_>) -> Result<Arc<Packets>> {
    let mut packets = Packets::new();
    for _ in 0..input.int_in_range(1..=4)? {
        let length = input.int_in_range(0..=32)?;
        packets.push(input.bytes(length.min(input.len()))?);
    }
    Ok(Arc::new(packets))
}

fn messages(input: &mut Unstructured<'_>) -> Result<Arc<Messages>> {
    let mut messages = Messages::new();
    for _ in 0..input.int_in_range(1..=4)? {
        let length = input.int_in_range(0..=32)?;
        let body = input.bytes(length.min(input.len()))?;
        let id = input.arbitrary()?;
        messages.push(match input.int_in_range(0..=2)? {
            0 => MessageRef::notice("a.b.c", body),
            1 => MessageRef::request(id, "a.b.c", body),
            _ => MessageRef::response(id, "a.b.c", input.int_in_range(100..=599)?, body),
        });
    }
    Ok(Arc::new(messages))
}

/// Counts a fault. Checks that its text is short and escaped.
fn fault(kind: &'static str, error: &CodecError) {
    let text = error.to_string();
    assert!(text.len() < 4096 && !text.chars().any(char::is_control), "a text is long or raw: {text:?}");
    tally::count(kind, "fault or refusal of a call", &text);
}
