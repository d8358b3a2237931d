//! Slots that load their codec file again when it changes.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use wireplug::CodecSource;
use wireplug::config::{CodecLimits, SwapConfig};
use wireplug_core::codec::{Abilities, Codec, CodecError, CodecSession, Description, Instant, Peer};
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::versions::POMELO;
use wireplug_tests::{app, log, versions, within};
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

use super::guests::marked;
use super::{echo, sessions_by_generation, slot, until};

/// Long enough for several checks of the file.
const SOME_LOOKS: Duration = Duration::from_secs(3);

const FILE: &str = "lines.wasm";

/// Returns a version of the honest guest.
fn version(number: u64) -> Vec<u8> {
    versions::version(&marked("lines").build(), number).to_vec()
}

/// Starts a server whose codec is in a file, and connects a client.
async fn watched(folder: &Folder) -> (TestServer, Raw) {
    folder.replace(FILE, version(1));
    let source = CodecSource::file(folder.path(FILE), json!({}));
    let setup = Setup { swap: SwapConfig { watch: true, ..SwapConfig::default() }, ..server::setup() };
    let server = server::serve(app::with_guests(), setup, [source]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "hello").await;
    (server, client)
}

/// Waits until the slot has this version as its current generation, and checks that this does not
/// change for some time.
async fn swapped(server: &TestServer, client: &mut Raw, to: u64, version: &[u8]) {
    let slot = &slot(server);
    until(slot, "the swap", |status| status.current == to).await;
    sleep(SOME_LOOKS).await;
    let status = slot.status();
    let current = status.generations.last().expect("there is a current one");
    assert_eq!((current.number, current.sha256), (to, Some(versions::digest(version))));
    assert_eq!(sessions_by_generation(slot), [(to - 1, 0), (to, 1)], "each swap has carried the client over");
    echo(client, "still here").await;
}

/// Returns how often a changed file was refused.
fn refusals(folder: &Folder) -> usize {
    log::lines(&["the changed file is refused", &folder.root().display().to_string()]).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_renamed_is_one_swap() {
    let folder = Folder::new("codec");
    let (server, mut client) = watched(&folder).await;
    for to in 2..5 {
        folder.replace(FILE, version(to));
        swapped(&server, &mut client, to, &version(to)).await;
    }
    // Replacing the file by the same content causes no swap.
    folder.replace(FILE, version(4));
    swapped(&server, &mut client, 4, &version(4)).await;
    assert_eq!(refusals(&folder), 0);
}

/// The file is truncated and grows piece by piece. No incomplete state of it is loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_slowly_in_place_is_one_swap() {
    let folder = Folder::new("codec");
    let (server, mut client) = watched(&folder).await;
    let wasm = version(2);
    let mut file = fs::File::create(folder.path(FILE)).expect("it is there");
    for piece in wasm.chunks(wasm.len().div_ceil(20)) {
        sleep(Duration::from_millis(100)).await;
        file.write_all(piece).expect("room on the disk");
    }
    drop(file);
    // If the machine made one of the pauses long, the incomplete file was refused, and never used.
    swapped(&server, &mut client, 2, &wasm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_is_refused_and_the_mended_one_taken() {
    let folder = Folder::new("codec");
    let (server, mut client) = watched(&folder).await;
    let broken = [&b"no"[..], &version(2)[..1000], &Guest::new("core").module()];
    for (n, bytes) in broken.iter().enumerate() {
        folder.replace(FILE, bytes);
        let refused = async {
            while refusals(&folder) <= n {
                sleep(Duration::from_millis(10)).await;
            }
        };
        within("the file to be refused", refused).await;
        echo(&mut client, "still here").await;
        assert_eq!(sessions_by_generation(&slot(&server)), [(1, 1)]);
    }
    // The server waits for a file that has been removed.
    fs::remove_file(folder.path(FILE)).expect("it is there");
    sleep(SOME_LOOKS).await;
    echo(&mut client, "still here").await;
    folder.replace(FILE, version(2));
    swapped(&server, &mut client, 2, &version(2)).await;
    assert_eq!(refusals(&folder), broken.len(), "each was tried once");
}

/// Pomelo, which renames a file when its description is read.
struct Renames {
    codec: WasmCodec,
    renames: AtomicBool,
    from: PathBuf,
    to: PathBuf,
}

impl Codec for Renames {
    fn description(&self) -> &Description {
        if self.renames.swap(false, Ordering::Relaxed) {
            fs::rename(&self.from, &self.to).expect("the folder is there");
        }
        self.codec.description()
    }

    fn abilities(&self) -> Abilities {
        self.codec.abilities()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        self.codec.open(peer, now)
    }
}

/// A file is replaced while the server loads another one, before it watches any file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_the_server_starts_is_seen() {
    let folder = Folder::new("codec");
    folder.replace(FILE, version(1));
    let (from, to) = (folder.path("beside"), folder.path(FILE));
    fs::write(&from, version(2)).expect("room on the disk");
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let codec = WasmLoader::new(&engine, CodecLimits::default()).load(POMELO, "{}".into());
    let codec = codec.expect("a good codec");
    let renames = Arc::new(Renames { codec, renames: AtomicBool::new(false), from, to });
    let sources = [CodecSource::file(folder.path(FILE), json!({})), CodecSource::native(renames.clone())];
    renames.renames.store(true, Ordering::Relaxed);
    let server = server::serve(app::with_guests(), server::setup(), sources).await;
    let wanted = Some(versions::digest(&version(2)));
    until(&slot(&server), "the new file", |status| {
        status.current == 2 && status.generations.last().is_some_and(|current| current.sha256 == wanted)
    })
    .await;
}
