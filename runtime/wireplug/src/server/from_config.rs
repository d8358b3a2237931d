//! Creates a server from a configuration.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{CodecSource, Listener, Server};
use crate::app::App;
use crate::codec::Options;
#[cfg(any(feature = "http", feature = "nats"))]
use crate::config::ServiceConfig;
use crate::config::{Builtin, CodecConfig, CompileConfig, Config, Key, ListenerConfig, Problem, Problems};
#[cfg(feature = "oci")]
use crate::registry::Registry;
use crate::trust::Trust;

impl Server {
    /// Creates a server for an application from a configuration. See [`Server::configured`].
    ///
    /// # Errors
    /// Returns the errors of [`Server::configured`].
    pub fn from_config<S>(app: App<S>, config: &Config, directory: &Path) -> Result<Self, Problems> {
        Self::new(app).configured(config, directory)
    }

    /// Applies a configuration, and adds its listeners. Their URLs may name any connector that is
    /// registered so far. Paths in the configuration are relative to `directory`.
    ///
    /// Listeners with the same codec share one codec slot. A [`CompileConfig::cache`] that was set
    /// before holds if the configuration names none. Of [`Config::log`] only `access` applies: the
    /// rest concerns the whole process.
    ///
    /// # Errors
    /// Returns an error if values of the configuration contradict each other, the file of a codec
    /// is missing, or the configuration names an application of the command `wireplug`.
    pub fn configured(self, config: &Config, directory: &Path) -> Result<Self, Problems> {
        if config.app.is_some() && config.app != self.builtin_app {
            let what = "only the command `wireplug` carries this application, and this program has its own: leave the \
                        key out";
            let problem = Problem { position: None, key: Key::default().name("app"), what: what.to_owned() };
            return Err(Problems { file: None, list: vec![problem] });
        }
        config.check(directory, &self.connectors)?;
        // Listeners with the same codec share its source, and so its slot.
        let mut codecs: BTreeMap<&String, CodecSource> = BTreeMap::new();
        let cache = config.compile.cache.as_ref().map(|path| directory.join(path));
        let cache = cache.or_else(|| self.compile.cache.clone());
        let mut server =
            self.config(config.server.clone()).compile(CompileConfig { cache, ..config.compile.clone() });
        server.configured = Some(config.clone());
        server.access_log = config.log.access;
        if let Some(trust) = &config.trust {
            server.trust = Trust::of(trust, directory)?;
        }
        #[cfg(feature = "nats")]
        if let Some(nats) = &config.nats {
            server = server.nats(nats.within(directory));
        }
        #[cfg(any(feature = "http", feature = "nats"))]
        {
            server.services = services(config, directory);
        }
        for listener in &config.listeners {
            let source = |name: &String| source(name, &config.codecs[name], directory);
            let codec =
                listener.codec.as_ref().map(|name| codecs.entry(name).or_insert_with(|| source(name)));
            server = server.listener(self::listener(listener, codec.cloned(), directory));
        }
        Ok(server)
    }
}

/// Returns the services of a configuration whose paths are relative to `directory`.
#[cfg(any(feature = "http", feature = "nats"))]
pub(super) fn services(config: &Config, directory: &Path) -> BTreeMap<String, ServiceConfig> {
    config.services.iter().map(|(name, service)| (name.clone(), service.within(directory))).collect()
}

/// Returns a listener that speaks a codec, or the default codec of its connector.
pub(super) fn listener(config: &ListenerConfig, codec: Option<CodecSource>, directory: &Path) -> Listener {
    let ListenerConfig { url, options, codec: _, tls, websocket, access, limits } = config;
    let mut listener = Listener::at(url).options(Value::Object(options.clone()));
    listener.is_configured = true;
    if let Some(codec) = codec {
        listener = listener.codec(codec);
    }
    listener.tls = tls.as_ref().map(|tls| tls.within(directory));
    listener.websocket = websocket.clone();
    (listener.access, listener.limits) = (access.clone(), *limits);
    listener
}

/// Returns the source of a component, which is in a file, in a registry or in an object store.
#[cfg_attr(not(feature = "oci"), allow(unused_variables, reason = "only registries have settings"))]
fn component(file: &Path, codec: &CodecConfig, directory: &Path, options: Options) -> CodecSource {
    #[cfg(feature = "oci")]
    if let Some(reference) = file.to_str().filter(|file| file.starts_with("oci://")) {
        let registry = Registry::new(reference, codec.registry.within(directory));
        return CodecSource::registry(registry.expect("the configuration was checked"), options);
    }
    #[cfg(feature = "nats")]
    if let Some(reference) = file.to_str().filter(|file| file.starts_with("nats://")) {
        return CodecSource::object(reference, options).expect("the configuration was checked");
    }
    CodecSource::file(directory.join(file), options)
}

/// Returns the source of the codec with this name.
pub(super) fn source(name: &str, codec: &CodecConfig, directory: &Path) -> CodecSource {
    let options = Options::from(Value::Object(codec.options.clone())).within(directory);
    let source = match (&codec.file, codec.builtin) {
        (Some(file), _) => component(file, codec, directory, options),
        (None, Some(Builtin::Pomelo)) => CodecSource::pomelo(options),
        (None, Some(Builtin::Sio)) => CodecSource::sio(options),
        (None, None) => unreachable!("the configuration was checked"),
    };
    let source = source
        .named(name)
        .limits(codec.limits)
        .swaps(codec.swap)
        .faults(codec.faults)
        .allow_unused_wasi(codec.allow_unused_wasi);
    #[cfg(feature = "oci")]
    let source = source.registries(codec.registry.within(directory));
    match codec.sha256.as_deref().map(str::parse) {
        Some(Ok(digest)) => source.pinned(digest),
        Some(Err(_)) => unreachable!("the configuration was checked"),
        None => source,
    }
}
