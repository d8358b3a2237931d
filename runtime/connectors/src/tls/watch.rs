//! Reloads the files of TLS when they have changed.
//!
//! Programs renew certificates by renaming a file, by writing in place, or by changing a link.

use std::fs;
use std::path::PathBuf;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};

use super::{Tls, load};
use crate::certificates::Certificates;
use crate::config::TlsConfig;
use wireplug_base::{Chain, FileFingerprint, FileWatch, LOOK_EVERY};

/// The fingerprints of the files, or `None` if a file is missing, as for a moment while it is
/// replaced.
pub(super) type Look = Option<Vec<FileFingerprint>>;

pub(super) fn look(files: &TlsConfig) -> Look {
    files.files().map(|path| Some(FileFingerprint::of(&fs::metadata(path).ok()?))).collect()
}

/// Loads the files for new connections whenever they have changed and settled. `read` holds their
/// fingerprints at the time when they were first read.
pub(super) async fn watch(
    tls: Tls,
    files: TlsConfig,
    read: Look,
    alpn: &'static [&'static str],
    url: String,
    certificates: Certificates,
) {
    let mut watch = FileWatch::new(read.clone(), read);
    loop {
        sleep(LOOK_EVERY).await;
        if watch.changed(in_background(&files, look).await).is_none() {
            continue;
        }
        watch.set_read();
        let paths: Vec<&PathBuf> = files.files().collect();
        match in_background(&files, load).await {
            Ok(loaded) => {
                loaded.warn(&url, &certificates);
                tls.replace(loaded.for_protocol(alpn));
                info!(%url, ?paths, "changed TLS files are taken over");
            }
            Err(error) => {
                let error = Chain::of(&error).to_string();
                error!(%url, ?paths, error, "changed TLS files are refused; all goes on as before");
            }
        }
    }
}

/// Runs `act` on a blocking thread, so that no task waits for the disk.
async fn in_background<T: Send + 'static>(files: &TlsConfig, act: fn(&TlsConfig) -> T) -> T {
    let files = files.clone();
    spawn_blocking(move || act(&files)).await.expect("to look at files does not panic")
}
