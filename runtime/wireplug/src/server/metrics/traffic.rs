//! The metrics of listeners, sessions and the application.

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::server::ServerState;
use crate::stats::Stats;

/// The labels of a listener: its URL, and the name of its codec slot.
const LISTENER: &[&str] = &["listener", "codec"];

/// A number of [`Stats`].
type Number = fn(&Stats) -> u64;

pub(super) fn add(families: &mut Families, server: &ServerState) {
    let listeners = server.counters.listeners();
    let stats: Vec<_> = listeners.iter().map(|listener| (listener.names(), listener.snapshot())).collect();

    let open = families.gauge("wireplug_connections", LISTENER, "Connections that are open.");
    stats.iter().for_each(|(names, stats)| {
        open.count(names, stats.connections_open);
    });
    families
        .gauge(
            "wireplug_connections_limit",
            &[],
            "The most connections at a time (`server.max-connections`).",
        )
        .count(&[], server.connections.max().into());
    let counters: [(_, _, Number); 5] = [
        (
            "wireplug_connections_accepted",
            "Connections that were accepted, also those that were refused next.",
            |stats| stats.connections_accepted,
        ),
        ("wireplug_packets_received", "Whole packets from clients.", |stats| stats.packets_in),
        ("wireplug_packets_sent", "Packets to clients.", |stats| stats.packets_out),
        ("wireplug_messages_received", "Messages from clients to the application.", |stats| {
            stats.messages_in
        }),
        (
            "wireplug_messages_sent",
            "Messages from the application that became packets: responses, pushes and requests.",
            |stats| stats.messages_out,
        ),
    ];
    for (name, help, number) in counters {
        let family = families.counter(name, LISTENER, help);
        stats.iter().for_each(|(names, stats)| {
            family.count(names, number(stats));
        });
    }
    let bytes: [(_, _, Number); 2] = [
        (
            "wireplug_received",
            "Bytes that were read from clients: of streams inside of TLS, and of messages without the heads of frames.",
            |stats| stats.bytes_in,
        ),
        ("wireplug_sent", "Bytes that were written to clients, measured in the same way.", |stats| {
            stats.bytes_out
        }),
    ];
    for (name, help, number) in bytes {
        let family = families.counter_in(Unit::Bytes, name, LISTENER, help);
        stats.iter().for_each(|(names, stats)| {
            family.count(names, number(stats));
        });
    }
    let opened = families.counter(
        "wireplug_connections_opened",
        &["listener", "codec", "transport"],
        "Connections that were ready for their first packet, by transport, such as `tcp` and `ws`.",
    );
    for listener in &listeners {
        let [url, codec] = listener.names();
        for (transport, count) in listener.transports() {
            opened.count(&[url, codec, transport], count);
        }
    }
    let closed = families.counter(
        "wireplug_connections_closed",
        &["listener", "codec", "cause"],
        "Connections that ended, by the cause that is in the log.",
    );
    for ([url, codec], stats) in &stats {
        for (cause, count) in &stats.closes {
            closed.count(&[url, codec, cause], *count);
        }
    }
    let dropped = families.counter(
        "wireplug_dropped",
        &["listener", "codec", "cause"],
        "Packets and messages that were lost, by cause. `overflow` are pushes that did not fit into an outbox.",
    );
    for ([url, codec], stats) in &stats {
        for (cause, count) in &stats.drops {
            dropped.count(&[url, codec, cause], *count);
        }
    }
    add_answers(families, server);
    add_sessions(families, server);
}

fn add_answers(families: &mut Families, server: &ServerState) {
    let answers = server.counters.answers.snapshot();
    let responses = families.counter(
        "wireplug_responses",
        &["server_type", "status"],
        "Responses of the application, by the first part of the route and the status. `unknown` are routes that \
         nothing answers; a status that is not between 100 and 599 is `other`.",
    );
    for (server_type, counts) in &answers {
        let mut other = 0;
        for (status, count) in &counts.statuses {
            match status {
                100..600 => {
                    responses.count(&[server_type, &status.to_string()], *count);
                }
                _ => other += count,
            }
        }
        if other > 0 {
            responses.count(&[server_type, "other"], other);
        }
    }
    let latency = families.times(
        "wireplug_handler_latency",
        &["server_type"],
        "The times from a request to its response, with the wait for earlier requests of the session. A sample: \
         each thread times one turn of a connection in a millisecond, and in it the first request.",
    );
    for (server_type, counts) in &answers {
        latency.histogram(&[server_type], counts.latency);
    }
}

fn add_sessions(families: &mut Families, server: &ServerState) {
    let awake = server.awake.status();
    let gauges = [
        ("wireplug_sessions", "Sessions that are established.", server.sessions.len() as u64),
        ("wireplug_users", "Users who have a session.", server.sessions.users() as u64),
        (
            "wireplug_sandboxes_awake",
            "Sandboxes of the standard pool that sessions have; the sandboxes of interpreters are not included.",
            awake.awake,
        ),
        (
            "wireplug_sandboxes_awake_limit",
            "The most sandboxes of the standard pool that sessions may have (`server.max-awake`).",
            awake.max_awake,
        ),
        (
            "wireplug_sandboxes_waiting",
            "Sessions that wait for a sandbox in which they can open or wake.",
            awake.waiting,
        ),
    ];
    for (name, help, value) in gauges {
        families.gauge(name, &[], help).count(&[], value);
    }
}
