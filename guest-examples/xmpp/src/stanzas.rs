//! The session once it is bound to an address: stanzas become messages of the application, and the
//! other way round. RFC 6120, section 8.

use rxml::Namespace;
use serde_json::{Value, json};
use wireplug_guest::{Events, Message, Packets, Role};

use crate::client::{Client, OpenRequest};
use crate::condition::StanzaError;
use crate::element::Element;
use crate::jid::Jid;
use crate::jsonml;
use crate::stanza::{self, Query, Stanza};
use crate::stream::{BIND, Broken, CLIENT, SESSION};

/// The largest number of requests that wait for a response. The runtime stops reading at 256 by
/// default, and one more batch may have come by then.
const MAX_OPEN: usize = 512;

const MESSAGE: &str = "xmpp.message";
const PRESENCE: &str = "xmpp.presence";
const GET: &str = "xmpp.get";
const SET: &str = "xmpp.set";
/// The route of queries for somebody else than the server.
const RELAYED_QUERY: &str = "xmpp.iq";

impl Client {
    /// Takes a stanza of the client.
    pub(crate) fn stanza(&mut self, stanza: &Element, events: &mut Events) -> Result<(), Broken> {
        let Some((bare, full)) = self.addresses() else { return Ok(()) };
        if stanza.attribute("from").is_some_and(|from| from != bare && from != full) {
            return Err(Broken::new("invalid-from", "the stanza is from another address"));
        }
        let kind = stanza.attribute("type");
        if stanza.name == "iq" && matches!(kind, Some("result" | "error")) {
            respond(stanza, kind, events);
            return Ok(());
        }
        if stanza.attribute("to").is_some_and(|to| Jid::parse(to).is_none()) {
            self.fail(stanza, "jid-malformed", events);
            return Ok(());
        }
        match &*stanza.name {
            "iq" => self.query(stanza, bare, full, events),
            "message" if kind != Some("error") => {
                let body = json!(Stanza::read(stanza, full));
                self.request(stanza, MESSAGE, &body, events);
            }
            // Nobody answers presence, and errors must not be answered.
            name => {
                let route = if name == "message" { MESSAGE } else { PRESENCE };
                events.notice(route, json!(Stanza::read(stanza, full)).to_string().as_bytes());
            }
        }
        Ok(())
    }

    fn query(&mut self, stanza: &Element, bare: String, full: String, events: &mut Events) {
        let (kind, to) = (stanza.attribute("type"), stanza.attribute("to"));
        let mut payloads = stanza.elements();
        let (Some("get" | "set"), Some(_), Some(payload), None) =
            (kind, stanza.attribute("id"), payloads.next(), payloads.next())
        else {
            self.fail(stanza, "bad-request", events);
            return;
        };
        let is_set = kind == Some("set");
        let is_for_server = to.is_none_or(|to| to == self.domain() || to == bare);
        match &*payload.namespace {
            // A stream has one address.
            BIND if is_for_server => self.fail(stanza, "not-allowed", events),
            // Older clients ask for a session, which has no meaning any more.
            SESSION if is_for_server && is_set => self.reply(&answer(stanza, "result", &full), events),
            namespace => {
                let route = match (is_for_server, is_set) {
                    (true, false) => format!("{GET}.{namespace}"),
                    (true, true) => format!("{SET}.{namespace}"),
                    (false, _) => RELAYED_QUERY.to_owned(),
                };
                let query = Query {
                    to: to.map(str::to_owned),
                    from: Some(full),
                    kind: kind.map(str::to_owned),
                    payload: jsonml::from_element(payload, CLIENT),
                };
                self.request(stanza, &route, &json!(query), events);
            }
        }
    }

    fn request(&mut self, stanza: &Element, route: &str, body: &Value, events: &mut Events) {
        if self.state.open.len() == MAX_OPEN {
            self.fail(stanza, "resource-constraint", events);
            return;
        }
        let get = |name| stanza.attribute(name).map(str::to_owned);
        let open = OpenRequest { name: stanza.name.clone(), id: get("id"), to: get("to") };
        self.state.last_id += 1;
        self.state.open.insert(self.state.last_id, open);
        events.request(self.state.last_id, route, body.to_string().as_bytes());
    }

    /// Answers a stanza with an error.
    fn fail(&self, stanza: &Element, condition: &str, events: &mut Events) {
        let Some((_, full)) = self.addresses() else { return };
        let error = StanzaError::new(condition).element();
        self.reply(&answer(stanza, "error", &full).child(error), events);
    }

    // === messages of the application ===

    /// Writes a message of the application.
    ///
    /// # Errors
    /// Returns an error if it has no form as a stanza.
    pub(crate) fn send(&mut self, message: &Message, packets: &mut Packets) -> Result<(), String> {
        if self.has_ended {
            return Err("the stream has ended".to_owned());
        }
        let element = match message.role {
            Role::Notice => Some(push(message)?),
            Role::Request => Some(self.query_of(message)?),
            Role::Response => self.response(message)?,
        };
        if let Some(element) = element {
            let mut packet = packets.begin();
            self.write(&element, &mut packet);
            if packet.len() > self.max_stanza {
                return Err(format!("the stanza has more than {} bytes", self.max_stanza));
            }
        }
        if message.role == Role::Response {
            self.state.open.remove(&message.id);
        }
        Ok(())
    }

    /// Returns the answer to a query or a message. A message that was delivered has none.
    fn response(&self, message: &Message) -> Result<Option<Element>, String> {
        let (Some(open), Some((_, full))) = (self.state.open.get(&message.id), self.addresses()) else {
            return Err("no request has this id".to_owned());
        };
        let answer = |kind| {
            Element::new(CLIENT, &open.name)
                .with_some("from", open.to.as_deref())
                .with("to", full)
                .with_some("id", open.id.as_deref())
                .with("type", kind)
        };
        if message.status != 200 {
            let error = StanzaError::of_answer(message.status, message.body);
            return Ok(Some(answer("error").child(error.element())));
        }
        if open.name == "message" {
            return Ok(None);
        }
        let payload: Value = serde_json::from_slice(message.json()).map_err(|error| error.to_string())?;
        let result = answer("result");
        Ok(Some(match payload {
            Value::Null => result,
            payload => result.child(jsonml::to_element(&payload, &Namespace::from(CLIENT))?),
        }))
    }

    /// Returns the query that the application sends to the client. Its id is that of the request.
    fn query_of(&self, message: &Message) -> Result<Element, String> {
        let kind = match message.route {
            GET => "get",
            SET => "set",
            _ => return Err(format!("a request to a client has the route `{GET}` or `{SET}`")),
        };
        let query: Query = serde_json::from_slice(message.body).map_err(|error| error.to_string())?;
        let payload = jsonml::to_element(&query.payload, &Namespace::from(CLIENT))?;
        let to = stanza::check_address(query.to.as_deref())?.map(str::to_owned);
        let to = to.or_else(|| self.addresses().map(|(_, full)| full));
        Ok(Element::new(CLIENT, "iq")
            .with("from", stanza::check_address(query.from.as_deref())?.unwrap_or(self.domain()))
            .with_some("to", to.as_deref())
            .with("id", message.id.to_string())
            .with("type", kind)
            .child(payload))
    }
}

/// Passes the client's answer to a query of the application.
fn respond(stanza: &Element, kind: Option<&str>, events: &mut Events) {
    let id = stanza.attribute("id").unwrap_or_default();
    // Answers to nothing that was asked are ignored.
    let Some(number) = id.parse::<u32>().ok().filter(|number| number.to_string() == id) else { return };
    if kind == Some("error") {
        let (status, error) = StanzaError::read(stanza);
        events.response(number.into(), status, json!(error).to_string().as_bytes());
    } else {
        let payload = stanza.elements().next().map(|payload| jsonml::from_element(payload, CLIENT));
        events.response(number.into(), 200, json!(payload).to_string().as_bytes());
    }
}

fn push(message: &Message) -> Result<Element, String> {
    let name = match message.route {
        MESSAGE => "message",
        PRESENCE => "presence",
        _ => return Err(format!("a push has the route `{MESSAGE}` or `{PRESENCE}`")),
    };
    let stanza: Stanza = serde_json::from_slice(message.body).map_err(|error| error.to_string())?;
    stanza.element(name)
}

/// Returns an answer to a stanza of the client.
fn answer(stanza: &Element, kind: &str, to: &str) -> Element {
    Element::new(CLIENT, &stanza.name)
        .with_some("from", stanza.attribute("to").filter(|from| Jid::parse(from).is_some()))
        .with("to", to)
        .with_some("id", stanza.attribute("id"))
        .with("type", kind)
}
