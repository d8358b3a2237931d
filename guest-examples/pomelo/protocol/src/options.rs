//! The options of the codec.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clients::Clients;
use crate::dialect::Dialect;
use crate::dictionary::{Dictionary, MAX_CODE};
use crate::handshake::{Answer, Answers, Kept};
use crate::protobuf::Protos;

const KEYS: [&str; 7] = ["dialect", "heartbeat", "timeout", "dictionary", "routes", "protos", "checkClient"];

/// The longest interval and the longest timeout in milliseconds. A timer has 32 bits for its
/// milliseconds, and the default timeout is twice the interval.
pub(crate) const MAX_HEARTBEAT: u32 = 2_000_000_000;
pub(crate) const MAX_TIMEOUT: u32 = 2 * MAX_HEARTBEAT;

/// The checked options of the codec, and what can be computed from them once for all sessions.
///
/// The default has no heartbeats, no dictionary and no schemas, and admits all clients.
#[derive(Debug)]
pub struct Options {
    pub(crate) dialect: Dialect,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) dictionary: Option<Arc<Dictionary>>,
    pub(crate) protos: Option<Arc<Protos>>,
    /// The clients to admit. `None` admits all.
    pub(crate) clients: Option<Clients>,
    pub(crate) answers: Answers,
}

/// The times of the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The milliseconds after which a client must send a heartbeat. Sent in the handshake.
    pub(crate) interval: u32,
    /// The milliseconds of silence after which the session closes.
    pub(crate) timeout: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Dialect::Pomelo, None, None, None, None)
    }
}

impl Options {
    /// Reads the options from a JSON object. All keys are optional:
    ///
    /// - `dialect`: `"pomelo"`, the default, or `"pitaya"`, for Pitaya's clients. With `"pitaya"`,
    ///   `heartbeat` is needed, in whole seconds; `protos` is refused; and there is no dictionary
    ///   unless `dictionary` asks for one.
    /// - `heartbeat`: the number of seconds after which a client must send a heartbeat. Without it,
    ///   there are no heartbeats.
    /// - `timeout`: the number of seconds of silence after which the session closes. More than
    ///   `heartbeat`; the default is twice as much.
    /// - `dictionary`: `true`, the default, makes the dictionary from `routes`; `false` makes none.
    ///   An array of routes, or an object of routes and their codes, replaces `routes`.
    /// - `routes`: the application's routes. The runtime adds them.
    /// - `protos`: an object with `server` and `client`. Each is an object of routes and the
    ///   protobuf schemas of their bodies, in the format of Pomelo. The bodies of all other routes
    ///   are JSON.
    /// - `checkClient`: the clients to admit, a list of rules. Each rule has a `type` and at most
    ///   one of `versions` and `min`. Without it, all clients are admitted.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is wrong or unknown. The error says what is allowed; it is for
    /// the person who wrote the options.
    pub fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| format!("the options must be a JSON object: {error}"))?;
        let Value::Object(options) = value else {
            return Err(format!("the options must be a JSON object; allowed are {}", KEYS.join(", ")));
        };
        if let Some(key) = options.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown option `{key}`: allowed are {}", KEYS.join(", ")));
        }
        let dialect = Dialect::read(options.get("dialect"))?;
        let heartbeat = heartbeat(options.get("heartbeat"), options.get("timeout"))?;
        let dictionary = dictionary(dialect, options.get("dictionary"), options.get("routes"))?;
        let protos = options.get("protos").map_or(Ok(None), Protos::read)?;
        let clients = options.get("checkClient").map(Clients::read).transpose()?;
        if dialect == Dialect::Pitaya {
            if heartbeat.is_none_or(|heartbeat| !heartbeat.interval.is_multiple_of(1000)) {
                return Err("`dialect` \"pitaya\" needs `heartbeat`, a whole number of seconds: \
                            without it, Pitaya's clients fail"
                    .into());
            }
            if protos.is_some() {
                return Err("`protos` are Pomelo's protobuf, which the clients of the `dialect` \
                            \"pitaya\" cannot read: leave them out"
                    .into());
            }
        }
        Ok(Self::new(dialect, heartbeat, dictionary, protos, clients))
    }

    /// Returns the answer to the handshake that most clients get: the client has kept nothing from
    /// an earlier connection, and the application adds no body.
    pub fn default_answer(&self) -> Answer<'_> {
        self.answers.without_user(Kept::default())
    }

    /// Returns the heartbeat's number of seconds, as JSON.
    pub(crate) fn heartbeat_seconds(&self) -> Option<String> {
        self.heartbeat.map(|heartbeat| seconds(heartbeat.interval))
    }

    fn new(
        dialect: Dialect,
        heartbeat: Option<Heartbeat>,
        dictionary: Option<Dictionary>,
        protos: Option<Protos>,
        clients: Option<Clients>,
    ) -> Self {
        let seconds = heartbeat.map(|heartbeat| seconds(heartbeat.interval));
        let answers = Answers::new(seconds.as_deref(), dictionary.as_ref(), protos.as_ref(), dialect);
        let (dictionary, protos) = (dictionary.map(Arc::new), protos.map(Arc::new));
        Self { dialect, heartbeat, dictionary, protos, clients, answers }
    }
}

fn heartbeat(interval: Option<&Value>, timeout: Option<&Value>) -> Result<Option<Heartbeat>, String> {
    let Some(interval) = interval else {
        return match timeout {
            Some(_) => Err("`timeout` needs `heartbeat`: without heartbeats, a client may be silent".into()),
            None => Ok(None),
        };
    };
    let interval = milliseconds("heartbeat", interval, MAX_HEARTBEAT)?;
    let timeout = match timeout {
        Some(timeout) => milliseconds("timeout", timeout, MAX_TIMEOUT)?,
        None => 2 * interval,
    };
    if timeout <= interval {
        return Err(format!("`timeout` must be more than `heartbeat`, which is {} s", seconds(interval)));
    }
    Ok(Some(Heartbeat { interval, timeout }))
}

fn milliseconds(key: &str, value: &Value, most: u32) -> Result<u32, String> {
    let milliseconds = value.as_f64().map(|seconds| (seconds * 1000.0).round());
    match milliseconds {
        Some(milliseconds) if (1.0..=f64::from(most)).contains(&milliseconds) => Ok(milliseconds as u32),
        _ => Err(format!("`{key}` must be a number of seconds from 0.001 to {}", seconds(most))),
    }
}

/// Returns milliseconds as a decimal number of seconds, without trailing zeros.
pub(crate) fn seconds(milliseconds: u32) -> String {
    let (whole, part) = (milliseconds / 1000, milliseconds % 1000);
    match part {
        0 => whole.to_string(),
        _ => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    }
}

fn dictionary(
    dialect: Dialect,
    choice: Option<&Value>,
    routes: Option<&Value>,
) -> Result<Option<Dictionary>, String> {
    // Unused routes are checked too. Otherwise a mistake in them would appear only when another
    // option changes.
    let routes = routes.map_or(Ok(Vec::new()), |routes| strings("routes", routes))?;
    let dictionary = match choice {
        None if dialect == Dialect::Pitaya => return Ok(None),
        None | Some(Value::Bool(true)) => Dictionary::numbered(routes),
        Some(Value::Bool(false)) => return Ok(None),
        Some(list @ Value::Array(items)) => {
            if items.len() > usize::from(MAX_CODE) {
                return Err(format!("`dictionary` must have at most {MAX_CODE} routes, one for each code"));
            }
            Dictionary::numbered(strings("dictionary", list)?)
        }
        Some(Value::Object(codes)) => Dictionary::new(pairs(codes)?),
        Some(_) => {
            let allowed = "true, false, an array of routes, or an object of routes and their codes";
            return Err(format!("`dictionary` must be {allowed}"));
        }
    };
    // The handshake does not mention an empty dictionary.
    Ok(Some(dictionary).filter(|dictionary| !dictionary.is_empty()))
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let route = |item: &Value| Some(item.as_str().filter(|route| !route.is_empty())?.to_owned());
    let routes = value.as_array().and_then(|items| items.iter().map(route).collect());
    routes.ok_or_else(|| format!("`{key}` must be an array of routes, which are strings and not empty"))
}

fn pairs(codes: &Map<String, Value>) -> Result<Vec<(u16, String)>, String> {
    let mut pairs = Vec::with_capacity(codes.len());
    for (route, code) in codes {
        let code = code.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|&code| code > 0);
        let code = code.ok_or_else(|| {
            format!(
                "`dictionary`: the code of the route `{route}` must be a whole number from 1 to {MAX_CODE}"
            )
        })?;
        if route.is_empty() {
            return Err(format!("`dictionary`: the route with the code {code} must not be empty"));
        }
        pairs.push((code, route.clone()));
    }
    pairs.sort_unstable();
    match pairs.array_windows().find(|[(one, _), (next, _)]| one == next) {
        Some([(code, one), (_, next)]) => Err(format!(
            "`dictionary`: each code must stand for one route, and {code} stands for `{one}` and `{next}`"
        )),
        None => Ok(pairs),
    }
}
