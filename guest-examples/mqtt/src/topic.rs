//! Topics, their routes, and filters: section 4.7 of the specification.

use wireplug_guest::Fault;

/// Separates the levels of a topic.
const SLASH: char = '/';

/// Separates the parts of a route.
const DOT: char = '.';

/// Returns the route of a topic: its levels, separated by dots. A topic that contains a dot is an
/// error, because the route must lead back to one topic.
pub(crate) fn route(topic: &str) -> Result<String, Fault> {
    // [MQTT-3.3.2-2, MQTT-4.7.3-1]
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(Fault::fatal("a topic is empty or contains a wildcard"));
    }
    if topic.contains(DOT) {
        return Err(Fault::fatal("a topic contains a dot, which separates the parts of routes"));
    }
    Ok(topic.replace(SLASH, "."))
}

/// Returns the topic of a route.
pub(crate) fn of_route(route: &str) -> String {
    route.replace(DOT, "/")
}

/// Reports whether a text is a filter [MQTT-4.7.1-2, -3, MQTT-4.7.3-1].
pub(crate) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split(SLASH).peekable();
    let is_level = |level: &str, is_last: bool| match level {
        "#" => is_last,
        "+" => true,
        level => !level.contains(['+', '#']),
    };
    let mut is_filter = !filter.is_empty();
    while let Some(level) = levels.next() {
        is_filter &= is_level(level, levels.peek().is_none());
    }
    is_filter
}

/// Reports whether a filter matches the topic of a route.
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
