//! Carries a session over to another version.

use std::rc::Rc;

use wireplug_guest::{Handoff, Peer};

use crate::Mqtt;
use crate::client::Client;

/// The number of the state's format, its first byte; JSON follows.
const FORMAT: u8 = 1;

impl Handoff for Mqtt {
    fn save(client: &Client) -> Result<Vec<u8>, String> {
        let mut state = vec![FORMAT];
        serde_json::to_writer(&mut state, &client.state).map_err(|error| error.to_string())?;
        Ok(state)
    }

    fn restore(&self, _peer: Peer, state: &[u8], _now_ms: u64) -> Result<Client, String> {
        let Some((&FORMAT, state)) = state.split_first() else {
            return Err("a state of another format".to_owned());
        };
        let state = serde_json::from_slice(state).map_err(|error| format!("not a state: {error}"))?;
        Ok(Client::with(Rc::clone(&self.0), state))
    }
}
