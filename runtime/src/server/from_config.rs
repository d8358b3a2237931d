//! A server as a configuration describes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{CodecSource, Listener, Server};
use crate::app::App;
use crate::config::{Builtin, CodecConfig, Config, Problems, ServerConfig};

impl Server {
    /// A server for an application, as a configuration describes it. Paths in it are relative to `directory`.
    ///
    /// Listeners of one codec share what it loads. Of [`Config::log`] it takes no notice: logging is the
    /// process's.
    ///
    /// # Errors
    /// Where values of the configuration contradict each other, or a codec's file is not there.
    pub fn from_config(app: App, config: &Config, directory: &Path) -> Result<Self, Problems> {
        config.check(directory)?;
        let codecs: BTreeMap<_, _> =
            config.codecs.iter().map(|(name, codec)| (name, source(name, codec, directory))).collect();
        let mut server = Server::new(app).config(ServerConfig {
            compile_cache: config.server.compile_cache.as_ref().map(|path| directory.join(path)),
            ..config.server.clone()
        });
        for listener in &config.listeners {
            server = server.listener(Listener {
                access: listener.access.clone(),
                limits: listener.limits,
                ..Listener::new(&listener.url, codecs[&listener.codec].clone())
            });
        }
        Ok(server)
    }
}

/// The source of the codec of this name.
pub(super) fn source(name: &str, codec: &CodecConfig, directory: &Path) -> CodecSource {
    let options = Value::Object(codec.options.clone());
    let source = match (&codec.file, codec.builtin) {
        (Some(file), _) => CodecSource::file(directory.join(file), options),
        (None, Some(Builtin::Pomelo)) => CodecSource::pomelo(options),
        (None, None) => unreachable!("the configuration was checked"),
    };
    let source = source.named(name).limits(codec.limits).swaps(codec.swap).faults(codec.faults);
    match codec.sha256.as_deref().map(str::parse) {
        Some(Ok(digest)) => source.pinned(digest),
        Some(Err(_)) => unreachable!("the configuration was checked"),
        None => source,
    }
}
