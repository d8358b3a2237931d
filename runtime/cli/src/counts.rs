//! Prints the counts of a server, as text or JSON.

use serde_json::json;
use wireplug::status::Stats;

use super::output::Output;

/// Prints the counts, with the number of log lines that have been left out so far.
pub(super) fn print(output: &Output, stats: &Stats) {
    let left_out = output.left_out();
    let fields = json!({
        "connections": { "open": stats.connections_open, "accepted": stats.connections_accepted },
        "packets": { "in": stats.packets_in, "out": stats.packets_out },
        "messages": { "in": stats.messages_in, "out": stats.messages_out },
        "drops": stats.drops,
        "closes": stats.closes,
        "log": { "left_out": left_out },
    });
    output.say(format_args!("{stats}\nlog:         {left_out} lines left out"), "counts", fields);
}
