//! The query of a request's URL, and what it asks for.

/// The supported version of Engine.IO.
const VERSION: &str = "4";

/// The content of a request's query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub(super) transport: Transport,
    /// The session to which the request belongs, or `None` if the request begins a session.
    pub(super) sid: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    WebSocket,
}

/// The reason why a query is refused, with the codes of Engine.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Transport,
    Version,
}

impl Unfit {
    pub(super) fn code(self) -> u8 {
        match self {
            Unfit::Transport => 0,
            Unfit::Version => 5,
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Unfit::Transport => "Transport unknown",
            Unfit::Version => "Unsupported protocol version",
        }
    }
}

impl<'a> Query<'a> {
    /// Parses a query. Unknown keys are ignored.
    ///
    /// # Errors
    /// Returns an error if the query names no version or transport, or one that is not supported.
    pub(super) fn parse(query: Option<&'a str>) -> Result<Self, Unfit> {
        let query = query.unwrap_or_default();
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        if value("EIO") != Some(VERSION) {
            return Err(Unfit::Version);
        }
        let transport = match value("transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Unfit::Transport),
        };
        Ok(Self { transport, sid: value("sid") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_version_transport_and_session() {
        let parsed = Query::parse(Some("token=x&EIO=4&transport=polling&t=abc"));
        assert_eq!(parsed, Ok(Query { transport: Transport::Polling, sid: None }));
        let parsed = Query::parse(Some("EIO=4&transport=websocket&sid=a-b"));
        assert_eq!(parsed, Ok(Query { transport: Transport::WebSocket, sid: Some("a-b") }));
        for (query, unfit) in [
            (None, Unfit::Version),
            (Some("EIO=3&transport=polling"), Unfit::Version),
            (Some("EIO=4"), Unfit::Transport),
            (Some("EIO=4&transport=webtransport"), Unfit::Transport),
        ] {
            assert_eq!(Query::parse(query), Err(unfit), "{query:?}");
        }
    }
}
