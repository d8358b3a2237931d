//! CONNECT: versions, heart-beats and the login.

use serde::Serialize;

use crate::frame::Frame;

/// The only version of the codec.
pub(crate) const VERSION: &str = "1.2";

/// The introduction of a client, as the application gets it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connect<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passcode: Option<&'a str>,
    /// The virtual host. Clients must send it, but some do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    /// Not part of the specification, but many clients can send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    /// What the client can send, and what it wants.
    #[serde(skip)]
    pub(crate) heart_beat: (u32, u32),
}

impl<'a> Connect<'a> {
    /// Reads a CONNECT.
    ///
    /// # Errors
    /// Returns an error if the client has another version, or if a header is wrong.
    pub(crate) fn read(frame: &'a Frame<'_>) -> Result<Self, String> {
        let versions = frame.header("accept-version").unwrap_or("1.0");
        if !versions.split(',').any(|version| version.trim() == VERSION) {
            return Err(format!("the server speaks STOMP {VERSION}, and the client does not accept it"));
        }
        let heart_beat = frame.header("heart-beat").unwrap_or("0,0");
        let numbers = heart_beat
            .split_once(',')
            .and_then(|(sends, wants)| Some((milliseconds(sends)?, milliseconds(wants)?)));
        Ok(Self {
            login: frame.header("login"),
            passcode: frame.header("passcode"),
            host: frame.header("host"),
            client_id: frame.header("client-id"),
            heart_beat: numbers.ok_or("`heart-beat` is not two numbers of milliseconds, as in `1000,0`")?,
        })
    }
}

fn milliseconds(text: &str) -> Option<u32> {
    // `parse` would accept `+7`.
    text.parse().ok().filter(|_| !text.starts_with('+'))
}
