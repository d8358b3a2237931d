//! Finds the errors that a start would report, without starting.

use std::sync::Arc;

use crate::codec::Codec as _;
use crate::config::{Key, Problem, Problems};
use crate::slot::{CodecSource, Slot};
use wireplug_base::Chain;
use wireplug_connectors::Health;
use wireplug_connectors::certificates::Certificates;
use wireplug_connectors::listening::load_tls;
use wireplug_connectors::running_time::RunningTime;

use super::listener::Resolved;
use super::listeners::Common;
use super::slots::Slots;
use super::{Server, StartError, descriptors, services};

/// A codec that a start would load.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckedCodec {
    /// The name of the codec.
    pub name: String,
    /// The most sessions that its sandboxes have room for at a time; `None` if only
    /// [`max_connections`](crate::config::ServerConfig::max_connections) limits them.
    pub max_sessions: Option<usize>,
    /// Whether its sessions sleep while they are idle, so that
    /// [`max_awake`](crate::config::ServerConfig::max_awake) does not limit their number.
    pub sleeps: bool,
}

impl Server {
    /// Performs the steps of a start that have no effect outside this process: reads the secrets,
    /// loads the codecs with their options, and checks whether they fit their listeners. It fetches
    /// codecs from registries. Otherwise it opens no socket. It does not connect to NATS, so it
    /// leaves out codecs from object stores. Like a start, it keeps the components that it compiles
    /// in the cache, raises the soft limit of open files, and logs its warnings.
    ///
    /// Returns the codecs, in the order in which listeners named them first.
    ///
    /// # Errors
    /// Returns all errors that a start would report, with the same messages, each with its key in a
    /// configuration. Only a start can find out that an address is in use.
    pub async fn check(self) -> Result<Vec<CheckedCodec>, Problems> {
        let Server {
            app,
            config,
            connectors,
            default_codecs,
            listeners,
            inherited: _,
            compile,
            compiler,
            on_compiling,
            cluster,
            services,
            configured: _,
            builtin_app: _,
            health: _,
            access_log: _,
            traces: _,
            trust,
            takeover: _,
            #[cfg(feature = "control")]
                events: _,
        } = self;
        let mut refused = Refused(Vec::new());
        if let Some(cluster) = &cluster {
            refused.take(
                Key::default().name("nats"),
                cluster.check().map_err(|error| StartError::Nats(error.into())),
            );
        }
        for (name, service) in &services {
            let key = Key::default().name("services").name(name);
            refused.take(key, services::check(name, service));
        }
        let hello = services::hello_service(&services, app.answers_hellos()).map(drop);
        refused.take(Key::default().name("services"), hello);
        let listeners = listeners.into_iter().enumerate().map(|(index, listener)| {
            (Key::default().name("listeners").index(index), listener.resolve(&connectors, &default_codecs))
        });
        let listeners: Vec<(Key, Resolved)> = listeners
            .filter_map(|(key, listener)| Some((key.clone(), refused.take(key, listener)?)))
            .collect();
        let memory = listeners
            .iter()
            .map(|(_, listener)| listener.codec.settings.limits.memory)
            .max()
            .unwrap_or_default();
        let common = Common {
            certificates: Certificates::default(),
            time: RunningTime::default(),
            health: Health::default(),
            counters: Arc::default(),
        };
        descriptors::raise_limit();
        let taken = listeners.iter().map(|(_, listener)| listener.connector.descriptors());
        descriptors::limit_connections(config.max_connections, taken, 0, services::connections(&services));
        for (_, listener) in &listeners {
            // Files that cannot be loaded are a problem of the configuration, which is found first.
            if let Some(Ok(files)) = listener.tls.as_ref().map(load_tls) {
                files.warn(&listener.connector.url(), &common.certificates);
            }
        }
        let compiler = compiler.limits(&compile);
        let _given_up = compiler.stop_on_drop();
        let slots =
            Slots::new(&config, &compile, listeners.len(), memory, compiler, on_compiling, app.routes());
        if let Some(mut slots) = refused.take(Key::default().name("server"), slots) {
            let mut wrong: Vec<CodecSource> = Vec::new();
            let trust = Arc::new(trust);
            for (key, listener) in listeners {
                let codec = &listener.codec;
                if codec.needs_nats() {
                    continue;
                }
                // The problem was reported for the first listener that names the codec.
                if wrong.iter().any(|other| other.is_same(codec)) {
                    continue;
                }
                let codec_key = match listener.named {
                    true => Key::default().name("codecs").name(&codec.settings.name),
                    false => key.clone(),
                };
                let slot = slots.of(codec.clone(), listener.named, &trust).await;
                if let Some(slot) = refused.take(codec_key, slot) {
                    refused.take(key, listener.check(&slot, &listener.options(&config, &common), &config));
                } else {
                    wrong.push(codec.clone());
                }
            }
            if refused.0.is_empty() {
                return Ok(slots.all().map(CheckedCodec::of).collect());
            }
        }
        Err(Problems { file: None, list: refused.0 })
    }
}

impl CheckedCodec {
    fn of(slot: &Slot) -> Self {
        let max_sessions = slot.current().max_sessions();
        Self { name: slot.name().to_owned(), max_sessions, sleeps: slot.sleeps() }
    }
}

/// The problems that a start would report.
struct Refused(Vec<Problem>);

impl Refused {
    /// Keeps an error with the key that it concerns, and returns the value if there is no error.
    fn take<T>(&mut self, key: Key, result: Result<T, StartError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(Problem { position: None, key, what: Chain::of(&error).to_string() });
                None
            }
        }
    }
}
