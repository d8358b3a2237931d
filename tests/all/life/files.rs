//! Codec files that other users could write, and files that are broken.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use wireplug::CodecSource;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::{app, chain, log, versions, within};

use super::{echo, slot};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is this user's");
}

async fn serve(source: CodecSource) -> anyhow::Result<TestServer> {
    let mut setup = Setup { ..server::setup() };
    setup.swap.watch = false;
    server::try_serve(app::with_guests(), setup, [source]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_that_anybody_can_write_is_refused_unless_it_is_pinned() {
    let folder = Folder::new("codec");
    let (home, path) = (folder.path("home"), folder.path("home/lines.wasm"));
    fs::create_dir(&home).expect("a new folder");
    set_mode(&home, 0o755);
    let wasm = Guest::new("lines").build();
    fs::write(&path, &wasm).expect("room on the disk");
    let source = || CodecSource::file(&path, json!({}));
    let refused = async |what: &str| {
        let error = format!("{:#}", serve(source()).await.err().expect("it is refused"));
        let wanted = format!("cannot load the codec {}: {what}", path.display());
        assert!(error.starts_with(&wanted), "{error}");
        assert!(error.contains("chmod o-w it, or pin the component with `sha256`"), "{error}");
    };

    set_mode(&path, 0o666);
    refused("it can be written by every user of this machine (mode 666)").await;
    set_mode(&path, 0o644);
    set_mode(&home, 0o777);
    refused(&format!("its folder {} can be written by every user", home.display())).await;

    // With the pin, a replaced file would not load. The server still warns.
    let server = serve(source().pinned(versions::digest(&wasm))).await.expect("it is the right file");
    echo(&mut Raw::connect(&server.tcp()).await, "served").await;
    let file = path.display().to_string();
    let warned = || log::lines(&["others can replace a codec", &file]).len();
    assert_eq!(warned(), 1);

    // A file that its group can write causes one warning each time that it is loaded.
    set_mode(&home, 0o755);
    set_mode(&path, 0o664);
    let server = serve(source()).await.expect("a warning is no refusal");
    assert_eq!(warned(), 2);
    assert_eq!(log::lines(&[&file, "it can be written by its group (mode 664): chmod g-w it"]).len(), 1);
    assert_eq!(slot(&server).reload().await.expect("it is read"), None);
    assert_eq!(warned(), 2, "nothing was loaded");

    // A running server keeps the codec that it has loaded.
    fs::write(&path, Guest::new("other").build()).expect("room on the disk");
    set_mode(&path, 0o666);
    let error = chain(&slot(&server).reload().await.expect_err("anybody may have written that"));
    assert!(error.contains("every user of this machine"), "{error}");
    echo(&mut Raw::connect(&server.tcp()).await, "served").await;

    set_mode(&path, 0o644);
    assert!(slot(&server).reload().await.expect("it is mended").is_some());
    assert_eq!(warned(), 2);
}

/// A server that starts again finds its codec's file broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_version_serves_at_a_start_whose_file_is_broken() {
    let (folder, cache) = (Folder::new("broken"), Folder::new("broken-cache"));
    set_mode(cache.root(), 0o700);
    let path = folder.path("lines.wasm");
    let source = || CodecSource::file(&path, json!({}));
    let start = async |cached: bool| {
        let mut setup = server::setup();
        setup.compile.cache = cached.then(|| cache.root().to_owned());
        server::try_serve(app::with_guests(), setup, [source()]).await
    };
    let refused = async |cached: bool| start(cached).await.err().expect("it is refused").to_string();
    fs::write(&path, b"no component").expect("room on the disk");
    assert!(refused(true).await.starts_with("cannot load the codec "), "nothing is kept yet");

    fs::write(&path, Guest::new("lines").build()).expect("room on the disk");
    drop(start(true).await.expect("it is good"));
    // A swap by the file is kept too.
    let running = start(true).await.expect("it is good");
    let second = Guest::new("second").build();
    fs::write(&path, &second).expect("room on the disk");
    within("the swap", async {
        while slot(&running).status().current < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // A version that was rolled back is not the last good one.
    fs::write(&path, Guest::new("bad").build()).expect("room on the disk");
    within("the swap", async {
        while slot(&running).status().current < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    slot(&running).roll_back().await.expect("there is one before");
    running.shutdown().await;

    fs::write(&path, b"no component").expect("room on the disk");
    // Without a cache nothing is kept, and a check reports the file.
    assert!(refused(false).await.starts_with("cannot load the codec "));
    // The disk is written in the background.
    let server = within("the version to be kept", async {
        loop {
            let server = start(true).await.expect("the last good version");
            if slot(&server).status().generations[0].sha256 == Some(versions::digest(&second)) {
                return server;
            }
            drop(server);
        }
    })
    .await;
    echo(&mut Raw::connect(&server.tcp()).await, "served").await;
    let generation = slot(&server).status().generations.swap_remove(0);
    assert_eq!(generation.sha256, Some(versions::digest(&second)));
    assert_eq!(generation.origin, format!("the last good version of {}", path.display()));
    let sha256 = versions::digest(&second).to_string();
    assert_eq!(log::lines(&["ERROR", "THE LAST GOOD VERSION SERVES", &sha256]).len(), 1);

    // The file is mended while the server runs.
    fs::write(&path, Guest::new("third").build()).expect("room on the disk");
    within("the swap", async {
        while slot(&server).status().current < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    server.shutdown().await;
}
