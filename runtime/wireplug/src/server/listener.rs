//! A listener: a connector, the codec of its protocol, and the limits that clients are held to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::awake::needs_place;
use super::listeners::Common;
use super::{InheritedSockets, StartError};
use crate::codec::Codec as _;
use crate::config::{AccessConfig, ClientLimits, ServerConfig, TlsConfig, WebSocketConfig};
use crate::slot::{CodecSource, Slot};
use wireplug_connectors::{BoxError, Connector, Connectors, ListenOptions};
use wireplug_core::codec::overrides::{Decode, Encode, Overrides};

/// How many bytes longer than the largest packet a WebSocket message may be, since it also holds
/// the framing of the packet.
const FRAMING_OVERHEAD: usize = 64;

/// An address at which clients connect, with its protocol and the limits for its clients.
///
/// By default a listener is open to all, has the default limits, and speaks the connector's
/// [default codec](Connector::default_codec), if the connector has one.
///
/// ```
/// use std::time::Duration;
///
/// use serde_json::json;
/// use wireplug::config::ClientLimits;
/// use wireplug::{App, CodecSource, Listener, Server};
///
/// let mut clients = Listener::new("hybrid://127.0.0.1:3010", CodecSource::pomelo(json!({})));
/// clients.limits = ClientLimits { idle_timeout: Duration::from_secs(60), ..ClientLimits::default() };
/// let server = Server::new(App::new()).listener(clients);
/// ```
#[must_use]
pub struct Listener {
    connector: ConnectorSource,
    codec: Option<CodecSource>,
    overrides: Overrides,
    /// Whether it comes from a configuration, which reloads may change.
    pub(super) is_configured: bool,
    /// TLS. A connector that encrypts needs it; other connectors refuse it at the start. Paths are
    /// relative to the working directory of the process.
    pub tls: Option<TlsConfig>,
    /// How WebSocket connections open. A connector without WebSocket refuses these settings at the
    /// start.
    pub websocket: WebSocketConfig,
    /// Which clients may connect.
    pub access: AccessConfig,
    /// The limits that clients are held to.
    pub limits: ClientLimits,
}

/// Where a listener's connector comes from.
enum ConnectorSource {
    Url { url: String, options: Value },
    Ready(Box<dyn Connector>),
}

impl Listener {
    /// A listener at a URL, `SCHEME://ADDRESS`, with a codec. `docs/configuration.md` lists the
    /// schemes that are built in; [`Server::register_connector`](super::Server::register_connector)
    /// adds others.
    pub fn new(url: &str, codec: CodecSource) -> Self {
        Self::at(url).codec(codec)
    }

    /// A listener at a URL, with the default codec of its connector.
    pub fn at(url: &str) -> Self {
        Self::from_source(ConnectorSource::Url { url: url.to_owned(), options: Value::Object(Map::new()) })
    }

    /// A listener over a connector of your own, with a codec. For the default codec of the
    /// connector use `Listener::from(connector)`.
    pub fn over(connector: impl Connector, codec: CodecSource) -> Self {
        Self::from(connector).codec(codec)
    }

    fn from_source(connector: ConnectorSource) -> Self {
        Self {
            connector,
            codec: None,
            overrides: Overrides::default(),
            is_configured: false,
            tls: None,
            websocket: WebSocketConfig::default(),
            access: AccessConfig::default(),
            limits: ClientLimits::default(),
        }
    }

    /// Sets the options of the connector that the URL names: a JSON object, whose keys the
    /// connector defines.
    ///
    /// # Panics
    /// Panics if the listener was made over a connector, which has its options already.
    pub fn options(mut self, options: Value) -> Self {
        match &mut self.connector {
            ConnectorSource::Url { options: own, .. } => *own = options,
            ConnectorSource::Ready(connector) => {
                panic!("{}: a connector that is made already takes no options", connector.url())
            }
        }
        self
    }

    /// Sets the codec.
    pub fn codec(mut self, codec: CodecSource) -> Self {
        self.codec = Some(codec);
        self
    }

    /// Decodes packets with a function of your own. It replaces the decoding of the codec, also
    /// after the codec is swapped. If [`Listener::encode`] is set too, the listener needs no codec.
    /// At the start, a codec with a handshake or a clock is refused together with this function,
    /// because the codec would not see the client's part in them.
    ///
    /// Such a listener has a slot of its own.
    pub fn decode(mut self, decode: impl Decode) -> Self {
        self.overrides.decode = Some(Arc::new(decode));
        self
    }

    /// Encodes messages, which are responses and pushes, with a function of your own. It replaces
    /// the encoding of the codec. The codec still makes the packets that it sends by itself, such
    /// as heartbeats and its farewell.
    ///
    /// Such a listener has a slot of its own.
    pub fn encode(mut self, encode: impl Encode) -> Self {
        self.overrides.encode = Some(Arc::new(encode));
        self
    }

    fn url(&self) -> String {
        match &self.connector {
            ConnectorSource::Url { url, .. } => url.clone(),
            ConnectorSource::Ready(connector) => connector.url(),
        }
    }

    /// Creates the connector without starting it, and finds the codec.
    pub(super) fn resolve(
        self,
        connectors: &Connectors,
        default_codecs: &DefaultCodecs,
    ) -> Result<Resolved, StartError> {
        let configured = self.is_configured.then(|| self.url());
        let connector = match self.connector {
            ConnectorSource::Url { url, options: Value::Object(options) } => {
                connectors.create(&url, &options)?
            }
            ConnectorSource::Url { url, options } => {
                return Err(StartError::Listener(format!(
                    "{url}: a listener's options are a JSON object, and not {options}"
                )));
            }
            ConnectorSource::Ready(connector) => connector,
        };
        if let Some((_, what)) = connector.layers().misfit(self.tls.as_ref(), &self.websocket) {
            return Err(StartError::Listener(format!(
                "{}: {what} (Listener::tls and Listener::websocket, in a configuration the tables of these names)",
                connector.url()
            )));
        }
        let named = self.codec.is_some() && self.overrides.is_empty();
        let codec = match self.codec {
            Some(codec) => Some(codec),
            None => default_codecs.of(&*connector)?,
        };
        let codec = match codec {
            Some(codec) if self.overrides.is_empty() => codec,
            Some(codec) => codec.with_overrides(self.overrides),
            None => CodecSource::native(self.overrides.alone().ok_or_else(|| {
                let missing = match (&self.overrides.decode, &self.overrides.encode) {
                    (None, None) => "Listener::decode and Listener::encode",
                    (None, _) => "Listener::decode beside the encode override that it has",
                    (_, None) => "Listener::encode beside the decode override that it has",
                    _ => unreachable!("both overrides are a codec"),
                };
                StartError::Listener(format!(
                    "{}: it has no codec, and its connector none of its own: set one (Listener::codec, in a \
                     configuration the key `codec` of [[listeners]]), or {missing}",
                    connector.url()
                ))
            })?),
        };
        let Self { tls, websocket, access, limits, .. } = self;
        let (asked, stays) = (connector.url(), false);
        Ok(Resolved { configured, asked, connector, stays, codec, named, tls, websocket, access, limits })
    }
}

/// The codecs that connectors may name as their default codec.
#[derive(Debug)]
pub(super) struct DefaultCodecs(BTreeMap<String, CodecSource>);

impl Default for DefaultCodecs {
    /// The codecs that are built in, without options.
    fn default() -> Self {
        let builtin = [
            ("pomelo", CodecSource::pomelo(Value::Object(Map::new()))),
            ("sio", CodecSource::sio(Value::Object(Map::new()))),
        ];
        Self(builtin.into_iter().map(|(name, codec)| (name.to_owned(), codec)).collect())
    }
}

impl DefaultCodecs {
    pub(super) fn add(&mut self, name: &str, codec: CodecSource) {
        self.0.insert(name.to_owned(), codec);
    }

    /// Returns the default codec of a connector, if the connector names one.
    ///
    /// # Errors
    /// Returns an error if the connector names a codec that this server does not have.
    fn of(&self, connector: &dyn Connector) -> Result<Option<CodecSource>, StartError> {
        let Some(name) = connector.default_codec() else { return Ok(None) };
        let codec = self.0.get(name).cloned().ok_or_else(|| {
            StartError::Listener(format!(
                "{}: its connector speaks the codec {name:?}, which this server does not have: add it \
                 (Server::default_codec), or set another one (Listener::codec)",
                connector.url()
            ))
        });
        codec.map(Some)
    }
}

/// A listener that is ready to start.
pub(super) struct Resolved {
    /// The URL in the configuration that it comes from, if it does.
    pub(super) configured: Option<String>,
    /// The URL as it was asked for, where the port may be 0.
    pub(super) asked: String,
    pub(super) connector: Box<dyn Connector>,
    /// Whether another process keeps the listening socket when this one ends.
    pub(super) stays: bool,
    pub(super) codec: CodecSource,
    /// Whether the codec was named for this listener. If not, its slot may get another name.
    pub(super) named: bool,
    pub(super) tls: Option<TlsConfig>,
    pub(super) websocket: WebSocketConfig,
    pub(super) access: AccessConfig,
    pub(super) limits: ClientLimits,
}

impl Resolved {
    /// Takes over the sockets that are meant for this listener, if there are any.
    pub(super) fn inherit(&mut self, sockets: &mut InheritedSockets) -> Result<(), StartError> {
        let url = self.connector.url();
        let Some(socket) = sockets.take(&url, |socket| self.connector.is_for(socket)) else { return Ok(()) };
        self.stays = socket.stays;
        self.connector.inherit(socket.descriptors).map_err(cannot_listen(&url))
    }

    /// Returns the options with which the connector listens.
    pub(super) fn options(&self, config: &ServerConfig, common: &Common) -> ListenOptions {
        let mut options = ListenOptions::default();
        options.max_message = self.codec.settings.limits.max_packet + FRAMING_OVERHEAD;
        options.proxies.clone_from(&self.access.proxies);
        options.first_byte_timeout = self.limits.first_byte_timeout;
        options.idle_timeout = self.limits.idle_timeout;
        options.write_timeout = self.limits.write_timeout;
        options.handshake_timeout = self.limits.handshake_timeout;
        options.max_connections = config.max_connections as usize;
        options.rate = (&self.limits).into();
        options.tls.clone_from(&self.tls);
        options.websocket.clone_from(&self.websocket);
        options.receive_buffer = self.limits.receive_buffer;
        options.send_buffer = self.limits.send_buffer;
        options.certificates = common.certificates.clone();
        options.time = common.time.clone();
        options.health = common.health.clone();
        options
    }

    /// Checks whether the connector can listen and can carry the packets of the codec, as far as
    /// this can be checked without opening a socket.
    pub(super) fn check(
        &self,
        slot: &Slot,
        options: &ListenOptions,
        config: &ServerConfig,
    ) -> Result<(), StartError> {
        let (connector, url) = (&self.connector, self.connector.url());
        connector.check(options).map_err(cannot_listen(&url))?;
        slot.check_fit(&url, connector.kinds(), connector.max_datagram().is_some())
            .map_err(StartError::Fit)?;
        let (awake, connections) = (config.awake_limit(), config.max_connections);
        if awake < connections && needs_place(&slot.current()) && !slot.sleeps() {
            tracing::warn!(
                url,
                codec = %slot.name(),
                "at most {awake} of {connections} connections can use this codec at a time, because its sessions do \
                 not sleep: raise `max-awake` under [server], {}",
                if slot.current().abilities().handoff {
                    "or set `limits.sleep-after` of the codec above zero"
                } else {
                    "or let the codec export `handoff`"
                }
            );
        }
        if self.tls.as_ref().is_some_and(|tls| tls.starttls) && !slot.can_start_tls() {
            tracing::warn!(url, codec = %slot.name(), "`tls.starttls` has no effect: the codec does not export `tls-upgrade`");
        }
        Ok(())
    }
}

/// Returns a function that adds the listener's URL to a connector's error.
pub(super) fn cannot_listen(url: &str) -> impl FnOnce(BoxError) -> StartError {
    move |source| StartError::Listen { url: url.to_owned(), source }
}

impl<C: Connector> From<C> for Listener {
    /// A listener over a connector of your own, with the default codec of the connector.
    fn from(connector: C) -> Self {
        Self::from_source(ConnectorSource::Ready(Box::new(connector)))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("url", &self.url())
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}
