//! The routes that a client used recently.

use std::sync::Arc;

/// The most routes that are kept. A client usually uses a handful, and comparing all of them costs
/// less than a hash.
const KEPT: usize = 8;

/// The longest route that is kept, in bytes. The limit keeps clients from filling the memory with
/// long routes.
const MAX_ROUTE: usize = 256;

/// The routes of a client's latest messages. A route that the client uses again is shared and not
/// copied.
///
/// Each session keeps its own routes. If all sessions shared one text, its reference count would
/// move between processors with every message.
#[derive(Debug, Default)]
pub(super) struct RecentRoutes {
    routes: Vec<Arc<str>>,
    /// The index of the route that is replaced next.
    next: usize,
}

impl RecentRoutes {
    /// Returns the route as a shared text.
    pub(super) fn get(&mut self, route: &str) -> Arc<str> {
        if let Some(known) = self.routes.iter().find(|known| ***known == *route) {
            return Arc::clone(known);
        }
        let new: Arc<str> = route.into();
        if route.len() > MAX_ROUTE {
            return new;
        }
        if self.routes.len() < KEPT {
            self.routes.push(Arc::clone(&new));
        } else {
            self.routes[self.next] = Arc::clone(&new);
            self.next = (self.next + 1) % KEPT;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_is_used_again_is_shared() {
        let mut recent = RecentRoutes::default();
        let first = recent.get("a.b.c");
        recent.get("d.e.f");
        assert!(Arc::ptr_eq(&first, &recent.get("a.b.c")));
    }

    #[test]
    fn only_some_are_kept_and_none_that_is_long() {
        let mut recent = RecentRoutes::default();
        let first = recent.get("a.b.c");
        recent.get(&"x".repeat(MAX_ROUTE + 1));
        for index in 0..KEPT - 1 {
            recent.get(&index.to_string());
        }
        assert!(Arc::ptr_eq(&first, &recent.get("a.b.c")), "the long one took no place");
        recent.get("one more");
        let again = recent.get("a.b.c");
        assert!(!Arc::ptr_eq(&first, &again) && *again == *first);
        assert_eq!(recent.routes.len(), KEPT);
    }
}
