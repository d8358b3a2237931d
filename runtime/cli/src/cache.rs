//! Where `wireplug serve` keeps compiled components unless its configuration says it.

use std::env;
use std::path::PathBuf;

use tracing::warn;
use wireplug_wasm::Cache;

/// A directory in the user's cache folder, if it can be used: it only makes a start faster.
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
