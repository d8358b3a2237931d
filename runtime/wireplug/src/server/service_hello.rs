//! A service's answer to the hello of a client, and what follows from it.

#![cfg_attr(
    not(any(feature = "http", feature = "nats")),
    allow(dead_code, reason = "without services nobody answers")
)]

use bytes::Bytes;

use crate::app::Response;
use crate::codec::Reason;
use crate::session::{Session, SessionError};
use wireplug_base::limited;

/// The status that accepts a client.
const ACCEPTED: u16 = 200;

/// A service's answer to the hello of a client. The links read it from NATS and from HTTP.
#[derive(Debug)]
pub(crate) struct HelloAnswer {
    pub(crate) response: Response,
    /// The user that the service names, as it names them.
    pub(crate) bind: Option<Bytes>,
}

impl HelloAnswer {
    /// Creates the answer if there is none of the service: this status refuses the client.
    pub(crate) fn status(status: u16) -> Self {
        Self { response: Response::status(status), bind: None }
    }

    /// Binds the session to the user that the service names, if it accepts the client. Returns the
    /// response for the client, who hears it only after that.
    pub(super) fn apply(self, service: &str, session: &Session) -> Response {
        let Self { response, bind } = self;
        let Some(name) = bind.filter(|_| response.status == ACCEPTED) else { return response };
        // A name that is no UTF-8 is no name either.
        match session.bind(str::from_utf8(&name).unwrap_or_default()) {
            Err(error @ SessionError::Name(_)) => {
                let (session, name) = (session.id(), Reason::new(&name));
                let name = name.as_str();
                limited!(WARN, service, %session, name, %error, "`Wireplug-Bind` of a service is not a valid name of a user: the client is refused");
                Response::status(500)
            }
            // A session that has ended hears no response.
            Ok(()) | Err(SessionError::Closed) => response,
        }
    }
}
