//! The life of a codec over real sockets: its versions are swapped, tried and rolled back while
//! clients are connected.

mod broadcast;
mod carried;
mod changed;
mod faults;
mod files;
mod framer;
mod guests;
mod hostile;
mod refused;
mod reload;
mod renewal;
mod requests;
mod secrets;
mod sleeping;
mod soak;
mod swap;
mod trial;
mod watch;

use wireplug::CodecSource;
use wireplug::slot::{GenerationStatus, Slot, SlotStatus};
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::TestServer;
use wireplug_tests::{versions, within};

use serde_json::{Value, json};

/// Returns the built-in Pomelo codec as another version, with the options of most tests.
fn pomelo(number: u64) -> CodecSource {
    pomelo_with(number, json!({}))
}

fn pomelo_with(number: u64, options: Value) -> CodecSource {
    CodecSource::bytes("pomelo", versions::pomelo(number), options)
}

fn guest(guest: &Guest) -> CodecSource {
    CodecSource::bytes("guest", guest.build(), json!({}))
}

/// Returns the slot of a server's first listener.
fn slot(server: &TestServer) -> Slot {
    server.slots().swap_remove(0)
}

/// Returns the generations that are held, with the number of sessions on each.
fn sessions_by_generation(slot: &Slot) -> Vec<(u64, usize)> {
    slot.status().generations.iter().map(|generation| (generation.number, generation.sessions)).collect()
}

/// Returns the status of a generation that is held.
fn generation(slot: &Slot, number: u64) -> GenerationStatus {
    let mut generations = slot.status().generations.into_iter();
    generations.find(|generation| generation.number == number).expect("the generation is held")
}

/// Waits until the status of a slot satisfies `reached`.
async fn until(slot: &Slot, what: &str, reached: impl Fn(&SlotStatus) -> bool) -> SlotStatus {
    let wait = async {
        loop {
            let status = slot.status();
            if reached(&status) {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(what, wait).await
}

/// Waits until the generations hold these sessions. (The server notices the end of a client with a
/// delay.)
async fn until_sessions(slot: &Slot, wanted: &[(u64, usize)]) {
    until(slot, &format!("the sessions {wanted:?}"), |_| sessions_by_generation(slot) == wanted).await;
}

/// Sends a line to a guest and expects it back.
async fn echo(client: &mut Raw, line: &str) {
    client.send(format!("{line}\n").as_bytes()).await;
    assert_eq!(client.line().await, line);
}

/// Accepts the one component again that was rolled back.
fn forgive(slot: &Slot) {
    let [rejected] = slot.status().rolled_back[..] else { panic!("{:?}", slot.status()) };
    slot.forgive(rejected);
}
