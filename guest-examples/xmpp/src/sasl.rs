//! The login with name and password: SASL PLAIN, RFC 4616.

use data_encoding::BASE64;
use serde::Serialize;

use crate::element::Element;
use crate::jid::{self, Jid};
use crate::stream::SASL;

/// A client that wants to log in, as the application gets it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Login {
    pub(crate) user: String,
    password: String,
}

/// Reads the message of a client. An error is a condition of section 6.5 of RFC 6120.
pub(crate) fn read_plain(text: &str, domain: &str) -> Result<Login, &'static str> {
    // A message without bytes is `=`, because an empty element means that there is none.
    let text = if text == "=" { "" } else { text };
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| "incorrect-encoding")?;
    let message = String::from_utf8(bytes).map_err(|_| "malformed-request")?;
    let fields: Vec<_> = message.split('\0').collect();
    let [authorize, user, password] = fields[..] else { return Err("malformed-request") };
    if !jid::is_local(user) || password.is_empty() {
        return Err("malformed-request");
    }
    let own = Jid { local: Some(user), domain, resource: None };
    if !authorize.is_empty() && Jid::parse(authorize) != Some(own) {
        // Nobody may act for another user.
        return Err("invalid-authzid");
    }
    Ok(Login { user: user.to_owned(), password: password.to_owned() })
}

/// Returns the condition for a status with which the application refuses a client.
pub(crate) fn condition_of(status: u16) -> &'static str {
    match status {
        403 => "account-disabled",
        500.. => "temporary-auth-failure",
        _ => "not-authorized",
    }
}

pub(crate) fn failure(condition: &str) -> Element {
    Element::new(SASL, "failure").child(Element::new(SASL, condition))
}
