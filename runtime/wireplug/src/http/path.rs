//! Writes the path of a route. No other module turns the input of a client into a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The path of hellos. No route has it, because no segment of a path of a route has a dot.
pub(super) const HELLO: &str = "/.wireplug/hello";

/// The path of events. No route has it either.
pub(super) const EVENTS: &str = "/.wireplug/events";

/// The longest route that has a path, in bytes, as over NATS.
const MAX_ROUTE: usize = 200;

/// The characters that are percent-encoded in a segment: all but those that RFC 3986 calls
/// unreserved. A segment has no dots.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// Returns the path of a route below the URL of its service: `/chatHandler/send` for
/// `chat.chatHandler.send`. It begins with a slash. Returns `None` if the route has no path of its
/// own.
pub(super) fn of_route(route: &str) -> Option<String> {
    // Frameworks decode a path before they look for its handler. An encoded slash would then lead
    // to the handler of another route.
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\');
    let is_segment = |segment: &str| !segment.is_empty() && !segment.contains(forbidden);
    let (service, rest) = route.split_once('.')?;
    if route.len() > MAX_ROUTE || !is_segment(service) || !rest.split('.').all(is_segment) {
        return None;
    }
    Some(
        rest.split('.')
            .flat_map(|segment| ["/".into(), utf8_percent_encode(segment, ENCODED).to_string()])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_route_leads_to_a_path_of_wireplug(rest in "[.a/%2e\u{ff0e}\u{2024} ]{0,8}(\\.wireplug[./]hello)?|.{0,20}") {
            if let Some(path) = of_route(&format!("chat.{rest}")) {
                prop_assert!(path.starts_with('/') && !path.contains('.') && !path.contains("//"), "{path:?}");
            }
        }
    }

    #[test]
    fn each_dot_is_a_slash() {
        assert_eq!(of_route("chat.chatHandler.send").as_deref(), Some("/chatHandler/send"));
        assert_eq!(of_route("chat.say").as_deref(), Some("/say"));
        assert_eq!(of_route("chat.a-b_c~d").as_deref(), Some("/a-b_c~d"));
        assert_eq!(of_route("chat.wörld.%2e?x#y").as_deref(), Some("/w%C3%B6rld/%252e%3Fx%23y"));
    }

    #[test]
    fn no_route_leads_to_another_path() {
        for route in [
            "chat",
            "chat.",
            "chat..a",
            "chat.a.",
            ".a",
            "chat.a/b",
            "chat.a\\b",
            "chat.a b",
            "chat.a\n",
            "chat..",
            "chat..wireplug.hello",
            "chat..wireplug/hello",
        ] {
            assert_eq!(of_route(route), None, "{route:?}");
        }
        assert_eq!(of_route(&format!("chat.{}", "x".repeat(196))), None);
        assert!(of_route(&format!("chat.{}", "x".repeat(195))).is_some());
    }
}
