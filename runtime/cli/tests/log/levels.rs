//! `RUST_LOG`.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::{BINARY, Served, found, lines, path};

/// What a server logs with this value of `RUST_LOG` when a client breaks the protocol, until it has ended.
fn logged(name: &str, value: &str) -> Vec<String> {
    let socket = path(&format!("{name}.sock"));
    let url = format!("unix://{}", socket.display());
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", &url]).env("RUST_LOG", value);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut server = Served { child: child.expect("the binary is there"), socket };
    let output = lines(server.child.stdout.take().expect("it is piped"));
    let log = lines(server.child.stderr.take().expect("it is piped"));
    server.send_nonsense();
    // The server listens before it handles signals as a server at work does.
    found(&output, "SIGUSR1");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    log.iter().collect()
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
fn that_makes_no_sense_is_told_and_the_configured_level_holds() {
    for (name, value, wrong) in
        [("typo", "inof", "\"inof\" is no level"), ("bad", "wireplug=loud", "error parsing level filter")]
    {
        let log = logged(name, value);
        assert_eq!(log.len(), 2, "{log:?}");
        let told =
            format!("the environment variable RUST_LOG={value:?} is ignored, and the level is info: {wrong}");
        assert!(log[0].contains(&told), "{log:?}");
        assert!(log[1].contains(" INFO ") && log[1].contains("closed"), "{log:?}");
    }
}
