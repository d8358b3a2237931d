//! What the person who runs the listener may choose.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clients::Clients;
use crate::dictionary::{Dictionary, MAX_CODE};
use crate::handshake::{Answer, Answers, Kept};
use crate::protobuf::Protos;

const KEYS: [&str; 6] = ["heartbeat", "timeout", "dictionary", "routes", "protos", "checkClient"];

/// In milliseconds. A wake is told in 32 bits of them, and by default the timeout is twice the heartbeat.
pub(crate) const MAX_HEARTBEAT: u32 = 2_000_000_000;
pub(crate) const MAX_TIMEOUT: u32 = 2 * MAX_HEARTBEAT;

/// The options of a listener, checked, with all that can be made of them beforehand. Shared by its sessions.
///
/// The default has no heartbeats, no dictionary and no schemas, and lets all clients in.
#[derive(Debug)]
pub struct Options {
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) dictionary: Option<Arc<Dictionary>>,
    pub(crate) protos: Option<Arc<Protos>>,
    /// None: all are let in.
    pub(crate) clients: Option<Clients>,
    pub(crate) answers: Answers,
}

/// The two times of heartbeats, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// After which a client shall send one. Told in the handshake.
    pub(crate) interval: u32,
    /// After which a silent client is given up.
    pub(crate) timeout: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self::new(None, None, None, None)
    }
}

impl Options {
    /// Reads the options from a JSON object. The keys, none of them required:
    ///
    /// - `heartbeat`: seconds after which a client shall send a heartbeat. Absent: there are none.
    /// - `timeout`: seconds after which a silent client is given up. More than `heartbeat`; twice as much if
    ///   absent.
    /// - `dictionary`: `true`, the default, for one made of `routes`; `false` for none; an array of routes;
    ///   or an object of routes and their codes.
    /// - `routes`: the application's routes, which the runtime adds.
    /// - `protos`: an object with `server` and `client`, each an object of routes and the protobuf schemas of
    ///   their bodies, as Pomelo writes them. Bodies of other routes are JSON.
    /// - `checkClient`: a list of rules, each with a `type` and at most one of `versions` and `min`: who is let
    ///   in. Absent: all.
    ///
    /// # Errors
    ///
    /// A sentence for the person who wrote the options: what is wrong, and what is allowed.
    pub fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| format!("the options must be a JSON object: {error}"))?;
        let Value::Object(options) = value else {
            return Err(format!("the options must be a JSON object; allowed are {}", KEYS.join(", ")));
        };
        if let Some(key) = options.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown option `{key}`: allowed are {}", KEYS.join(", ")));
        }
        let heartbeat = heartbeat(options.get("heartbeat"), options.get("timeout"))?;
        let dictionary = dictionary(options.get("dictionary"), options.get("routes"))?;
        let protos = options.get("protos").map_or(Ok(None), Protos::read)?;
        let clients = options.get("checkClient").map(Clients::read).transpose()?;
        Ok(Self::new(heartbeat, dictionary, protos, clients))
    }

    /// The answer to a client that has kept nothing of an earlier connection, and that the application has no word for.
    pub fn welcome(&self) -> Answer<'_> {
        self.answers.without_word(Kept::default())
    }

    fn new(
        heartbeat: Option<Heartbeat>,
        dictionary: Option<Dictionary>,
        protos: Option<Protos>,
        clients: Option<Clients>,
    ) -> Self {
        let seconds = heartbeat.map(|heartbeat| seconds(heartbeat.interval));
        let answers = Answers::new(seconds.as_deref(), dictionary.as_ref(), protos.as_ref());
        let (dictionary, protos) = (dictionary.map(Arc::new), protos.map(Arc::new));
        Self { heartbeat, dictionary, protos, clients, answers }
    }
}

fn heartbeat(interval: Option<&Value>, timeout: Option<&Value>) -> Result<Option<Heartbeat>, String> {
    let Some(interval) = interval else {
        return match timeout {
            Some(_) => Err("`timeout` needs `heartbeat`: without heartbeats a client may be silent".into()),
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

/// Milliseconds as a decimal number of seconds, with no more digits than it takes.
pub(crate) fn seconds(milliseconds: u32) -> String {
    let (whole, part) = (milliseconds / 1000, milliseconds % 1000);
    match part {
        0 => whole.to_string(),
        _ => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    }
}

fn dictionary(choice: Option<&Value>, routes: Option<&Value>) -> Result<Option<Dictionary>, String> {
    // Checked even if they are not used: a fault that waits for another option to change is a trap.
    let routes = routes.map_or(Ok(Vec::new()), |routes| strings("routes", routes))?;
    let dictionary = match choice {
        None | Some(Value::Bool(true)) => Dictionary::numbered(routes),
        Some(Value::Bool(false)) => return Ok(None),
        Some(list @ Value::Array(items)) => {
            if items.len() > usize::from(MAX_CODE) {
                return Err(format!("`dictionary` must have at most {MAX_CODE} routes, one a code"));
            }
            Dictionary::numbered(strings("dictionary", list)?)
        }
        Some(Value::Object(codes)) => Dictionary::new(pairs(codes)?),
        Some(_) => {
            let allowed = "true, false, an array of routes, or an object of routes and their codes";
            return Err(format!("`dictionary` must be {allowed}"));
        }
    };
    // With nothing to shorten, a client need not hear of it.
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
