//! The metrics of the server as a whole.

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::server::NodeStatus;
use crate::server::running::Running;
use wireplug_base::LostLines;
use wireplug_wasm::CompileState;

pub(super) fn add(families: &mut Families, node: &NodeStatus, running: &Running) {
    families.info("wireplug_build", &["version"], "The version of wireplug.").fact(&[&node.version]);
    families
        .gauge_in(
            Unit::Bytes,
            "wireplug_memory_limit",
            &[],
            "The memory that the process may use (`server.max-memory`). Missing if there is no limit.",
        )
        .known(running.state.memory.limit().map(|limit| limit as f64));

    let changes = families.counter(
        "wireplug_changes",
        &["change", "outcome"],
        "Changes in the audit log, such as `swap`, `trial`, `promote` and `rollback`: `done`, `unchanged` or `refused`.",
    );
    for ((change, outcome), count) in &*running.audit.counts() {
        changes.count(&[change, outcome], *count);
    }

    #[cfg(feature = "control")]
    {
        let commands = families.counter(
            "wireplug_client_commands",
            &["verb", "code"],
            "What services have done with clients over the push API, by verb, and by the code of the answer: 200 if \
             it was done.",
        );
        for (verb, code, count) in running.client_commands.all() {
            commands.count(&[verb, &code.to_string()], count);
        }
    }

    let nats = node.nats.as_ref();
    families
        .gauge(
            "wireplug_nats_connected",
            &[],
            "1 while the server is connected to NATS and all its subscriptions are in effect, and otherwise 0. \
             Missing without NATS.",
        )
        .known(nats.map(|nats| f64::from(u8::from(nats.connected))));
    let dropped = families.counter(
        "wireplug_nats_messages_dropped",
        &[],
        "Messages that could not be sent over NATS: pushes and kicks for other nodes, events, and what NATS refused.",
    );
    if let Some(nats) = nats {
        dropped.count(&[], nats.dropped);
    }

    let services = running.nodes.services().status();
    let in_flight = families.gauge(
        "wireplug_service_requests_in_flight",
        &["service"],
        "Requests to a service over HTTP that have no response yet.",
    );
    for (name, status) in &services {
        in_flight.count(&[name], status.in_flight as u64);
    }
    let used = families.gauge(
        "wireplug_service_url_used",
        &["service", "url"],
        "1 while requests go to this URL of a service, and 0 while the URL is left out because it has failed.",
    );
    for (name, url, is_used) in services
        .iter()
        .flat_map(|(name, status)| status.urls.iter().map(move |(url, used)| (name, url, used)))
    {
        used.count(&[name, url], u64::from(*is_used));
    }

    let feeds = running.nodes.services().feeds();
    let queued = families.gauge(
        "wireplug_service_events_queued",
        &["service"],
        "Events of sessions that wait for a service over HTTP, or are being sent to it.",
    );
    for feed in &feeds {
        queued.count(&[&feed.service], feed.queued as u64);
    }
    let dropped = families.counter(
        "wireplug_service_events_dropped",
        &["service", "reason"],
        "Events of sessions that a service over HTTP did not get: `full` are those for which there was no room \
         (`http.max-events`), and `refused` those that the service did not accept in time (`http.events-retry`).",
    );
    for feed in &feeds {
        dropped.count(&[&feed.service, "full"], feed.dropped.full);
        dropped.count(&[&feed.service, "refused"], feed.dropped.refused);
    }

    let compilations = families.gauge(
        "wireplug_compilations",
        &["state"],
        "Components that are compiled, or wait for that.",
    );
    let is = |state| move |job: &&wireplug_wasm::CompileJob| job.state == state;
    for (name, state) in [("running", CompileState::Running), ("waiting", CompileState::Waiting)] {
        compilations.count(&[name], node.compiling.iter().filter(is(state)).count() as u64);
    }

    let expiry = families.gauge_in(
        Unit::Seconds,
        "wireplug_certificate_expiry_timestamp",
        &["used_by", "key", "file"],
        "When a certificate expires, in seconds since 1970: that of a listener, or of the connection to NATS.",
    );
    for certificate in &node.certificates {
        let file = certificate.file.to_string_lossy();
        expiry.count(&[&certificate.used_by, &certificate.key, &file], certificate.expires);
    }

    let LostLines { over_limit, unwritten } = LostLines::so_far();
    families
        .counter(
            "wireplug_log_lines_dropped",
            &["reason"],
            "Log lines that were left out: `limit` are those over the limit of their kind, and `unwritten` those that \
             could not be written fast enough.",
        )
        .count(&["limit"], over_limit)
        .count(&["unwritten"], unwritten);
}
