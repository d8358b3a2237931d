//! The directory in which `wireplug serve` keeps compiled components if its configuration names
//! none.

use std::env;
use std::path::PathBuf;

use tracing::warn;
use wireplug_wasm::Cache;

/// Returns a directory in the user's cache folder. Returns `None` if it cannot be used, because the
/// cache only makes a start faster.
pub(super) fn directory() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let folder = env::var_os("XDG_CACHE_HOME")
        .and_then(|folder| absolute(folder.into()))
        .or_else(|| Some(absolute(env::home_dir()?)?.join(".cache")))?;
    let directory = folder.join("wireplug/compiled");
    match Cache::open(&directory) {
        Ok(_) => Some(directory),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            warn!(
                error,
                "codecs are compiled at each start: `cache` under [compile] can name another directory"
            );
            None
        }
    }
}
