//! The format of the states of sockets and listeners, which another version must not misread.

use super::PROTOCOL;
use crate::meter::SavedMeter;
use crate::protocol::SavedClient;
use crate::udp::SavedListener;

#[path = "../../../../tests/golden.rs"]
mod golden;

#[test]
fn a_changed_state_has_another_version() {
    let mut formats = golden::Formats::new(&["IpAddr", "OverRate", "SavedClient"]);
    formats.add::<SavedClient>();
    formats.add::<SavedListener>();
    formats.add::<SavedMeter>();
    formats.check(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handover/format.txt"), PROTOCOL);
}
