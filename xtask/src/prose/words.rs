//! Finds words that another word replaces.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::Finding;

/// The refused words and names, each with what to write instead.
pub(super) struct Words {
    /// Words that are found in any case, and as parts of names.
    words: BTreeMap<String, String>,
    /// Names that are found exactly as they are.
    names: BTreeMap<String, String>,
}

impl Words {
    /// Reads lines of `WORD = ADVICE`; `#` begins a comment.
    ///
    /// # Errors
    /// Returns an error if a line has no advice, or if a word is listed twice.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut list = Self { words: BTreeMap::new(), names: BTreeMap::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let entry = line.split_once(" = ").with_context(|| format!("`{line}` is not `WORD = ADVICE`"))?;
            let (word, advice) = (entry.0.trim().to_owned(), entry.1.trim().to_owned());
            let is_word = word.chars().all(char::is_lowercase);
            let map = if is_word { &mut list.words } else { &mut list.names };
            ensure!(map.insert(word, advice).is_none(), "`{line}` stands here twice");
        }
        Ok(list)
    }

    /// Finds each refused word of a text, once a line.
    pub(super) fn find(&self, text: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let found: BTreeMap<_, _> = identifiers(line).flat_map(|name| self.refused(name)).collect();
            findings.extend(found.into_iter().map(|(word, advice)| Finding {
                line: index + 1,
                what: format!("`{word}`: write {advice}"),
            }));
        }
        findings
    }

    /// Returns the refused words of an identifier or a plain word, each with its advice.
    fn refused<'a>(&'a self, identifier: &str) -> Vec<(&'a str, &'a str)> {
        let name = self.names.get_key_value(identifier);
        let words = parts(identifier).filter_map(|part| self.words.get_key_value(&part.to_lowercase()));
        name.into_iter().chain(words).map(|(word, advice)| (word.as_str(), advice.as_str())).collect()
    }

    /// Returns all advice in the list.
    #[cfg(test)]
    pub(super) fn advice(&self) -> impl Iterator<Item = &str> {
        self.words.values().chain(self.names.values()).map(String::as_str)
    }
}

/// Splits a line into identifiers, plain words among them.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|next: char| !next.is_alphanumeric() && next != '_').filter(|name| !name.is_empty())
}

/// Splits an identifier into its words: `snake_case`, `camelCase`, `HTTPServer` and `part2` have
/// two each.
fn parts(identifier: &str) -> impl Iterator<Item = &str> {
    identifier.split(|next: char| !next.is_alphabetic()).flat_map(camel_parts)
}

fn camel_parts(word: &str) -> Vec<&str> {
    let letters: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut begin = 0;
    for (index, &(at, letter)) in letters.iter().enumerate().skip(1) {
        let after_lower = letters[index - 1].1.is_lowercase();
        let before_lower = letters.get(index + 1).is_some_and(|(_, next)| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || before_lower) {
            parts.push(&word[begin..at]);
            begin = at;
        }
    }
    parts.push(&word[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Words {
        Words::parse("# A comment.\nportal = listener\nopen_up = open\nGhost = FileFingerprint\n").unwrap()
    }

    fn found(line: &str) -> Vec<String> {
        list().find(line).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_word_is_found_alone_and_in_names() {
        for line in [
            "the portal.",
            "Portal",
            "PORTAL",
            "portal_of",
            "of_portal2",
            "ThePortal",
            "TLSPortal",
            "x/portal.rs",
        ] {
            assert_eq!(found(line), ["`portal`: write listener"], "{line}");
        }
        for line in ["portals", "important", "portalo", "PortAl"] {
            assert_eq!(found(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn a_name_is_found_as_it_is() {
        assert_eq!(found("x.open_up(Ghost)"), ["`Ghost`: write FileFingerprint", "`open_up`: write open"]);
        assert_eq!(found("ghost Ghosts open_ups reopen_up"), [""; 0]);
    }

    #[test]
    fn findings_have_their_lines_and_are_said_once_a_line() {
        let lines: Vec<_> = list().find("a portal, a portal\n\nportal").into_iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn a_list_with_a_mistake_is_refused() {
        assert!(Words::parse("portal").is_err());
        assert!(Words::parse("portal = a\nportal = b").is_err());
    }
}
