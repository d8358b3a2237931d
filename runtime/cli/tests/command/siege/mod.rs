//! A siege: slow, silent, flooding and vanished clients attack every transport at once, while
//! honest clients compare each of their answers.
//!
//! `cargo xtask soak siege [SECONDS]` runs it. It measures no times, and only asserts what must
//! hold on any machine.

mod attackers;
mod honest;
mod link;
mod server;

use std::time::Duration;

use tokio::time::Instant;
use wireplug_tests::{soak_time, within};

use self::server::Besieged;

/// The number of attackers of each kind on each transport. All attackers together are fewer than
/// `max-connections`, because a full server refuses honest clients too.
const OF_EACH_KIND: usize = 4;

/// The most memory that the server may use, in bytes. It covers a sandbox of about 60 KiB, a
/// session and the buffers of both directions for each of `max-connections`, and the needs of the
/// process itself.
const MAX_MEMORY: usize = 512 << 20;

/// The descriptors that do not belong to connections, such as those of the listeners, the control
/// API, the codecs and the runtime.
const OWN_DESCRIPTORS: usize = 64;

/// The most lines that connections and the server itself may write to the log in a second.
const LINES_A_SECOND: u64 = 200 + 20;

/// The longest line of the log, in bytes.
const LONGEST_LINE: usize = 4096;

#[test]
#[ignore = "a soak: `cargo xtask soak siege` runs it"]
fn slow_silent_flooding_and_vanished_clients_on_every_transport() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(siege(soak_time()));
}

async fn siege(lasting: Duration) {
    let server = Besieged::start();
    let begun = Instant::now();
    let end = begun + lasting;
    let quiet = server.descriptors();

    let attackers = attackers::begin(&server.places, OF_EACH_KIND);
    let honest: Vec<_> =
        server.places.all().map(|(name, place)| (name, tokio::spawn(honest::ask(place, end)))).collect();
    let (mut memory, mut descriptors) = (0, 0);
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200)).await;
        memory = memory.max(server.memory());
        descriptors = descriptors.max(server.descriptors());
    }

    for (name, asking) in honest {
        let answered = within("honest clients to end", asking).await;
        let answered = answered.unwrap_or_else(|error| panic!("the honest client of {name}: {error}"));
        println!("{name}: {answered} requests, each with its own answer");
        assert!(answered > 0, "no request over {name} was answered");
    }
    for (kind, count) in attackers.end() {
        println!("{kind}: {count} connections");
        assert!(count > 0, "no attack: {kind}");
    }
    println!("memory: {} MiB at the most; descriptors: {descriptors} at the most", memory >> 20);
    assert!(memory < MAX_MEMORY, "{memory} bytes of memory");
    let allowed = server::MAX_CONNECTIONS + OWN_DESCRIPTORS;
    assert!(descriptors < allowed, "{descriptors} descriptors, and {allowed} are allowed");
    server.until_quiet(quiet).await;

    let log = server.end();
    println!("log: {} lines, {} bytes", log.lines, log.bytes);
    let most = LINES_A_SECOND * (begun.elapsed().as_secs() + 1);
    assert!(log.lines <= most, "{} lines of the log, and {most} are allowed", log.lines);
    assert!(log.longest <= LONGEST_LINE, "a line of the log has {} bytes", log.longest);
}
