//! Routes as two-byte codes, told to the client in the handshake.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::text::quoted;

/// The highest code there is. 0 is none: Pomelo counts from 1, and its clients take 0 for "no code".
pub(crate) const MAX_CODE: u16 = u16::MAX;

/// Both directions between routes and codes.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// Its keys are the operator's own, so that nobody can choose what collides.
    codes: HashMap<String, u16, FixedState>,
    /// Ordered by code.
    routes: Vec<(u16, String)>,
}

impl Dictionary {
    /// Numbers `routes` from 1 in their sorted order. Routes beyond the last code get none: they travel as
    /// text.
    pub(crate) fn numbered(mut routes: Vec<String>) -> Self {
        routes.sort_unstable();
        routes.dedup();
        Self::new((1..=MAX_CODE).zip(routes).collect())
    }

    /// As [`Dictionary::new`], from pairs that nobody has checked: none where those would not make a
    /// dictionary.
    pub(crate) fn checked(routes: Vec<(u16, String)>) -> Option<Self> {
        let codes_go_up = routes.is_sorted_by(|(one, _), (next, _)| one < next);
        let named = routes.iter().all(|(code, route)| *code > 0 && !route.is_empty());
        let dictionary = (codes_go_up && named).then(|| Self::new(routes))?;
        let each_route_once = dictionary.codes.len() == dictionary.routes.len();
        each_route_once.then_some(dictionary)
    }

    /// From pairs in the order of their codes, of which neither a code nor a route occurs twice.
    pub(crate) fn new(routes: Vec<(u16, String)>) -> Self {
        debug_assert!(routes.is_sorted());
        let codes = routes.iter().map(|(code, route)| (route.clone(), *code)).collect();
        Self { codes, routes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// In the order of the codes.
    pub(crate) fn pairs(&self) -> &[(u16, String)] {
        &self.routes
    }

    pub(crate) fn code(&self, route: &str) -> Option<u16> {
        self.codes.get(route).copied()
    }

    pub(crate) fn route(&self, code: u16) -> Option<&str> {
        // Codes are as a rule 1, 2, 3 and so on: then a code's place is known.
        let guess = usize::from(code).wrapping_sub(1);
        if let Some((found, route)) = self.routes.get(guess)
            && *found == code
        {
            return Some(route);
        }
        let place = self.routes.binary_search_by_key(&code, |(code, _)| *code).ok()?;
        Some(&self.routes[place].1)
    }

    /// `{"route":code,...}`, in the order of the codes, as `JSON.stringify` writes it.
    pub(crate) fn routes_to_codes(&self) -> String {
        self.json(|json, code, route| {
            json.push_str(&quoted(route));
            json.push(':');
            json.push_str(code);
        })
    }

    /// `{"code":"route",...}`, in the order of the codes.
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
