//! The levels in `RUST_LOG`.

use std::process::Stdio;

use wireplug_tests::running::Signal;

use super::Served;
use crate::program::wireplug;

/// Returns everything that a server logs, from its start to its end, with this value of `RUST_LOG`.
/// Meanwhile a client breaks the protocol.
fn logged(name: &str, value: &str) -> Vec<String> {
    let mut server = Served::by(&format!("level-{name}"), Stdio::piped(), Stdio::piped(), |folder| {
        let mut command = wireplug(["serve", "--listen", &format!("unix://{}", folder.text("socket"))]);
        command.env("RUST_LOG", value);
        command
    });
    server.send_nonsense();
    // The server listens before it is ready for signals. The line that names SIGUSR1 comes when it
    // is ready.
    server.output.find(&["SIGUSR1"]);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    server.log.rest().collect()
}

#[test]
fn without_a_value_is_as_if_it_were_not_set() {
    let log = logged("empty", "");
    assert!(log.len() == 1 && log[0].contains(" INFO ") && log[0].contains("closed"), "{log:?}");
}

#[test]
fn wins_over_the_configured_level() {
    let log = logged("warn", "warn");
    assert!(log.is_empty(), "{log:?}");
}

#[test]
fn that_makes_no_sense_is_reported_and_the_configured_level_holds() {
    for (name, value, wrong) in
        [("typo", "inof", "\"inof\" is no level"), ("bad", "wireplug=loud", "error parsing level filter")]
    {
        let log = logged(name, value);
        assert_eq!(log.len(), 2, "{log:?}");
        let problem =
            format!("the environment variable RUST_LOG={value:?} is ignored, and the level is info: {wrong}");
        assert!(log[0].contains(&problem), "{log:?}");
        assert!(log[1].contains(" INFO ") && log[1].contains("closed"), "{log:?}");
    }
}
