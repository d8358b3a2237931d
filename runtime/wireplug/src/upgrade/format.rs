//! The format of the messages, which another version must not misread.

use super::message::{ToNew, ToOld, WireCommand, WireDirected, WireTarget};
use super::saved::SavedSession;
use wireplug_connectors::HANDOVER_PROTOCOL;

#[path = "../../../../tests/golden.rs"]
mod golden;

const ENUMS: &[&str] = &[
    "MessageKind",
    "OverRate",
    "SavedInput",
    "SavedOutput",
    "ToNew",
    "ToOld",
    "WireCommand",
    "WireDirected",
    "WireTarget",
];

#[test]
fn a_changed_message_has_another_version() {
    let mut formats = golden::Formats::new(ENUMS);
    formats.add::<WireTarget>();
    formats.add::<WireCommand>();
    formats.add::<WireDirected>();
    formats.add::<SavedSession>();
    formats.add::<ToNew>();
    formats.add::<ToOld>();
    formats.check(concat!(env!("CARGO_MANIFEST_DIR"), "/src/upgrade/format.txt"), HANDOVER_PROTOCOL);
}
