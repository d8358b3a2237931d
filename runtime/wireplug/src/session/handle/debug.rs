//! How handles are shown in logs: without the values of attributes, because a header field may be a
//! password.

use std::fmt;

use super::{ClientInfo, Session};

impl fmt::Debug for ClientInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.attributes.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ClientInfo")
            .field("transport", &self.transport)
            .field("address", &self.address)
            .field("attributes", &names)
            .finish()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id.0)
            .field("client", self.client())
            .finish_non_exhaustive()
    }
}
