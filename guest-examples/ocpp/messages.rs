//! The payloads that the central system reads. OCPP 1.6 and 2.0.1 have the same actions with
//! different payloads.

use serde::Deserialize;
use serde_json::{Value, json};

/// A version of OCPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Version {
    #[serde(rename = "1.6")]
    V16,
    #[serde(rename = "2.0.1")]
    V201,
}

/// How a station introduces itself.
#[derive(Deserialize)]
pub(crate) struct Hello {
    pub(crate) station: String,
    pub(crate) version: Version,
    #[serde(default)]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) password: String,
}

/// May a driver charge? 1.6 has a tag, 2.0.1 a token with a type.
#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Authorize {
    V16 { id_tag: String },
    V201 { id_token: IdToken },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdToken {
    pub(crate) id_token: String,
}

/// The beginning of a transaction in 1.6.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartTransaction {
    pub(crate) connector_id: u32,
    pub(crate) id_tag: String,
}

/// All events of a transaction in 2.0.1.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionEvent {
    pub(crate) id_token: Option<IdToken>,
}

/// Data of a vendor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataTransfer {
    pub(crate) vendor_id: String,
    #[serde(default)]
    pub(crate) data: String,
}

/// What the operator wants: a remote start at each of these connectors.
#[derive(Deserialize)]
pub(crate) struct Operation {
    pub(crate) connectors: Vec<u32>,
    /// How long the station has to answer each, in seconds.
    pub(crate) seconds: u64,
}

/// The answer to a remote start.
#[derive(Deserialize)]
pub(crate) struct Started {
    pub(crate) status: String,
}

/// A CALLERROR of a station.
#[derive(Deserialize)]
pub(crate) struct CallError {
    pub(crate) code: String,
}

/// Returns action and payload of the request to start a transaction at a connector.
pub(crate) fn remote_start(version: Version, connector: u32, tag: &str) -> (&'static str, Value) {
    match version {
        Version::V16 => ("RemoteStartTransaction", json!({ "idTag": tag, "connectorId": connector })),
        Version::V201 => (
            "RequestStartTransaction",
            json!({
                "idToken": { "idToken": tag, "type": "Central" },
                "remoteStartId": connector,
                "evseId": connector,
            }),
        ),
    }
}
