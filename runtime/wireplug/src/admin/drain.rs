//! The request that drains the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Client;
use super::api::{Answer, Api, Asked, bad_request, given};
use super::sessions::Time;
use crate::audit::Outcome;
use crate::server::DrainReport;
use wireplug_base::units;

/// The longest time in which a drain still accepts clients. Load balancers notice within seconds.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The query of a drain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// How long clients are still accepted, at most `10m`.
    #[serde(default)]
    #[schemars(with = "Option<units::Duration>")]
    wait: Option<Time>,
    /// Ends the program then.
    #[serde(default)]
    exit: bool,
}

pub(super) async fn drain(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    asked: Asked<Drain>,
) -> Answer<DrainReport> {
    let mut change = api.change(&client, "drain", "");
    let Drain { wait, exit } = change.checked(given(asked))?;
    let wait = wait.map_or(Duration::ZERO, |Time(wait)| wait);
    if wait > MAX_WAIT {
        return change.checked(Err(bad_request("a drain waits for 10 minutes at most: wait=10m")));
    }
    let (server, end) = (Arc::clone(&api.server), api.marks.end.clone());
    let drained = async move {
        let report = server.drain(wait).await;
        if exit {
            end.cancel();
        }
        Ok::<_, Infallible>(report)
    };
    change.run(drained, |_, _| Outcome::Done).await
}
