//! Saves and restores a session.

use std::rc::Rc;

use wireplug_guest::{Handoff, Instant, Peer};

use crate::Postgres;
use crate::session::Client;

/// The format number of the state, which is its first byte. The rest is JSON.
const FORMAT: u8 = 1;

impl Handoff for Postgres {
    fn save(client: &Client) -> Result<Vec<u8>, String> {
        let mut state = vec![FORMAT];
        serde_json::to_writer(&mut state, &client.state).map_err(|error| error.to_string())?;
        Ok(state)
    }

    fn restore(&self, peer: Peer, state: &[u8], _now: Instant) -> Result<Client, String> {
        let Some((&FORMAT, state)) = state.split_first() else {
            return Err("the state has an unknown format".to_owned());
        };
        let state =
            serde_json::from_slice(state).map_err(|error| format!("the state is damaged: {error}"))?;
        Ok(Client::with(Rc::clone(&self.0), &peer, state))
    }
}
