//! Tests that a loaded component accepts other options without being compiled again.

use super::{POMELO, engine, loader};
use wireplug_core::codec::{Codec as _, Instant};

#[test]
fn other_options_are_checked_and_charged_to_the_same_account() {
    let codec = loader(&engine()).load(POMELO, "{}".into()).expect("a good codec");
    let refused = codec.with_options("{\"nope\":1}".into()).err().expect("there is no such option");
    assert!(refused.to_string().contains("it refuses its options: unknown option `nope`"), "{refused}");

    let other = codec.with_options("{\"heartbeat\":1}".into()).expect("good options");
    let session = other.open(wireplug_tests::peer(), Instant::for_test(0)).expect("a session");
    assert!(codec.memory() > 0);
    drop(session);
    assert_eq!(codec.memory(), 0);
}
