//! Topics and routes; and filters, section 4.7 of the specification.

use wireplug_guest::Fault;

/// What separates levels of a topic, and those of a route.
const SLASH: char = '/';
const DOT: char = '.';

/// The route of a topic: its levels with dots between. Which topic it was must be told from it, so a topic has no dot.
pub(crate) fn route(topic: &str) -> Result<String, Fault> {
    // [MQTT-3.3.2-2, MQTT-4.7.3-1]
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(Fault::fatal("a topic to publish to is empty, or has a wildcard"));
    }
    if topic.contains(DOT) {
        return Err(Fault::fatal("a topic has a dot, which routes have between their parts"));
    }
    Ok(topic.replace(SLASH, "."))
}

/// The topic of a route.
pub(crate) fn of_route(route: &str) -> String {
    route.replace(DOT, "/")
}

/// Whether it is a filter [MQTT-4.7.1-2, -3, MQTT-4.7.3-1].
pub(crate) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split(SLASH).peekable();
    let is_level = |level: &str, is_last: bool| match level {
        "#" => is_last,
        "+" => true,
        level => !level.contains(['+', '#']),
    };
    let mut fine = !filter.is_empty();
    while let Some(level) = levels.next() {
        fine &= is_level(level, levels.peek().is_none());
    }
    fine
}

/// Whether a filter matches the topic of a route, which has dots where the topic has slashes.
pub(crate) fn matches(filter: &str, route: &str) -> bool {
    // [MQTT-4.7.2-1]
    if route.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut route) = (filter.split(SLASH), route.split([DOT, SLASH]));
    loop {
        match (filter.next(), route.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(of_route)) if level == of_route => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
