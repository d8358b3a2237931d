//! The dictionary: 2-byte codes for routes. The handshake sends it to the client.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::text::quoted;

/// The highest code. The lowest is 1: Pomelo counts from 1, and its clients take 0 for "no code".
pub(crate) const MAX_CODE: u16 = u16::MAX;

/// Maps routes to codes and codes to routes.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// The hash needs no random seed: the keys come from the options, so no client can choose keys
    /// that collide.
    codes: HashMap<String, u16, FixedState>,
    /// Sorted by code.
    routes: Vec<(u16, String)>,
}

impl Dictionary {
    /// Sorts `routes` and numbers them from 1. Routes beyond [`MAX_CODE`] get no code; they are
    /// sent as text.
    pub(crate) fn numbered(mut routes: Vec<String>) -> Self {
        routes.sort_unstable();
        routes.dedup();
        Self::new((1..=MAX_CODE).zip(routes).collect())
    }

    /// Creates a dictionary from unchecked pairs, or returns `None` if they do not meet the
    /// conditions of [`Dictionary::new`].
    pub(crate) fn checked(routes: Vec<(u16, String)>) -> Option<Self> {
        let codes_ascend = routes.is_sorted_by(|(one, _), (next, _)| one < next);
        let none_is_empty = routes.iter().all(|(code, route)| *code > 0 && !route.is_empty());
        let dictionary = (codes_ascend && none_is_empty).then(|| Self::new(routes))?;
        let routes_are_unique = dictionary.codes.len() == dictionary.routes.len();
        routes_are_unique.then_some(dictionary)
    }

    /// Creates a dictionary from pairs that are sorted by code. Each code and each route occurs
    /// once.
    pub(crate) fn new(routes: Vec<(u16, String)>) -> Self {
        debug_assert!(routes.is_sorted());
        let codes = routes.iter().map(|(code, route)| (route.clone(), *code)).collect();
        Self { codes, routes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Returns all pairs, sorted by code.
    pub(crate) fn pairs(&self) -> &[(u16, String)] {
        &self.routes
    }

    pub(crate) fn code(&self, route: &str) -> Option<u16> {
        self.codes.get(route).copied()
    }

    pub(crate) fn route(&self, code: u16) -> Option<&str> {
        // Codes usually count 1, 2, 3 and so on, which gives the position of a code.
        let guess = usize::from(code).wrapping_sub(1);
        if let Some((found, route)) = self.routes.get(guess)
            && *found == code
        {
            return Some(route);
        }
        let place = self.routes.binary_search_by_key(&code, |(code, _)| *code).ok()?;
        Some(&self.routes[place].1)
    }

    /// Returns `{"route":code,...}`, sorted by code, as `JSON.stringify` writes it.
    pub(crate) fn routes_to_codes(&self) -> String {
        self.json(|json, code, route| {
            json.push_str(&quoted(route));
            json.push(':');
            json.push_str(code);
        })
    }

    /// Returns `{"code":"route",...}`, sorted by code.
    pub(crate) fn codes_to_routes(&self) -> String {
        self.json(|json, code, route| {
            json.push('"');
            json.push_str(code);
            json.push_str("\":");
            json.push_str(&quoted(route));
        })
    }

    fn json(&self, entry: impl Fn(&mut String, &str, &str)) -> String {
        let mut json = String::from("{");
        for (index, (code, route)) in self.routes.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            entry(&mut json, &code.to_string(), route);
        }
        json.push('}');
        json
    }
}
