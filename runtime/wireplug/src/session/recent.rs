//! The routes that a client used of late.

use std::sync::Arc;

/// So many routes are kept: a client as a rule uses a handful, and to compare them all costs less
/// than a hash.
const KEPT: usize = 8;

/// A longer route is not kept, so that nobody can fill the memory with them. In bytes.
const MAX_ROUTE: usize = 256;

/// The routes of a client's latest messages, so that one that it uses again is shared and not
/// copied.
///
/// Each session has its own: a text that all sessions shared would have one count of who holds it,
/// which processors would hand to and fro with every message.
#[derive(Debug, Default)]
pub(super) struct RecentRoutes {
    routes: Vec<Arc<str>>,
    /// Which is replaced next.
    next: usize,
}

impl RecentRoutes {
    /// A route.
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
