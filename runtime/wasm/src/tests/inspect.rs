//! Tests of the inspection of components, including those that would be refused.

use super::POMELO;
use crate::{Import, Inspection, Needs, inspect};
use wireplug_core::codec::Digest;
use wireplug_tests::hostile::components::with_parts;

fn inspected(wasm: &[u8]) -> Inspection {
    inspect(wasm).expect("there is room for few sandboxes")
}

/// A component whose one import is a function `x`.
const IMPORTER: &[u8] = b"\0asm\x0d\0\x01\0\x07\x05\x01\x40\x00\x01\x00\x0a\x06\x01\x00\x01x\x01\x00";

#[test]
fn a_good_codec() {
    let inspection = inspected(POMELO);
    assert_eq!(inspection.digest, Digest::of(POMELO));
    assert_eq!(inspection.size, POMELO.len());
    assert_eq!(inspection.contract.as_deref(), Some("0.2.0"));
    for interface in ["codec", "batch", "handshake", "clock", "farewell"] {
        assert!(inspection.interfaces.iter().any(|name| name == interface), "{inspection}");
    }
    assert!(inspection.imports.iter().all(|import| !import.refused), "{inspection}");
    let said = inspection.description.as_ref().expect("it describes itself");
    assert_eq!((&*said.name, &*said.version), ("pomelo", "0.1.0"));
    assert_eq!(said.messages.as_deref(), Some("whole packets, framed"));
    assert_eq!(said.payload, "binary");
    assert!(said.json && said.handshake && said.client_requests == 0 && !said.coalesces);
    assert_eq!(said.max_packet, Some(1 << 24));
    let shown = inspection.to_string();
    for line in [
        "streams      a length of 3 bytes, big-endian, after the first byte of each packet",
        "messages     whole packets, framed",
        "packets      binary",
        "bodies       JSON",
        "handshake    yes",
        "requests     from the client",
        "max packet   16777216 bytes",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    assert!(!shown.contains("coalesces"), "{shown}");
    let Needs { core_instances, memories, memory, tables, table_elements, instance_memory } =
        inspection.needs.clone().unwrap();
    assert!((8 << 10..64 << 10).contains(&instance_memory), "{inspection}");
    assert!((1..=4).contains(&core_instances) && (1..=2).contains(&tables), "{inspection}");
    assert!(memories == 1 && memory >= 64 << 10 && table_elements > 0, "{inspection}");
    assert_eq!((&inspection.large_pool, &inspection.refused), (&None, &None));
    assert_eq!(inspection.component_calls, None);
    assert!(shown.lines().any(|line| line == "is called    directly"), "{shown}");
}

#[test]
fn a_codec_that_does_not_fit_the_standard_pool() {
    let (alone, inspection) = (inspected(POMELO), inspected(&with_parts(POMELO, 3)));
    let (alone, needs) = (alone.needs.unwrap(), inspection.needs.clone().unwrap());
    assert_eq!(needs.core_instances, alone.core_instances + 3);
    assert_eq!(needs.memories, alone.memories + 3);
    let reason = inspection.large_pool.as_deref().expect("it has too many parts");
    assert!(reason.contains(&format!("{} core module instances", needs.core_instances)), "{reason}");
    assert_eq!(inspection.component_calls.as_deref(), Some("its sandboxes need the large pool"));
    assert_eq!(inspection.refused, None);
}

#[test]
fn what_would_be_refused() {
    for (wasm, reason) in [
        (&b"{}"[..], "it is not a WebAssembly file"),
        (b"\0asm\x01\0\0\0", "it is a core module, not a component"),
        (&POMELO[..POMELO.len() - 1], "it does not compile"),
    ] {
        let inspection = inspected(wasm);
        let refused = inspection.refused.expect("it is no codec");
        assert!(refused.starts_with(reason), "{refused}");
        assert_eq!((inspection.digest, inspection.compile_ms), (Digest::of(wasm), None));
    }
}

#[test]
fn what_can_be_reported_of_a_component_that_would_be_refused() {
    let inspection = inspected(IMPORTER);
    assert_eq!(inspection.imports, [Import { name: "x".into(), refused: true, trap: false }]);
    assert!(inspection.refused.as_deref().unwrap().starts_with("it imports x: "), "{inspection}");

    // The same component, written to a future version of the contract.
    let mut newer = POMELO.to_vec();
    let (name, version) = (b"wireplug:codec/", b"@0.2.0");
    for at in 0..newer.len() {
        let end = newer[at..].iter().position(|byte| *byte == b'@').map_or(newer.len(), |length| at + length);
        if newer[at..].starts_with(name) && newer[end..].starts_with(version) {
            newer[end + 3] = b'3';
        }
    }
    let inspection = inspected(&newer);
    assert_eq!(inspection.contract.as_deref(), Some("0.3.0"), "{inspection}");
    assert!(inspection.needs.is_some() && inspection.compile_ms.is_some());
    let refused = inspection.refused.expect("it cannot be spoken with");
    assert!(refused.contains("@0.3.0, and this runtime speaks version 0.2.0"), "{refused}");
}
