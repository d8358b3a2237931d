//! Addresses: RFC 7622. Each part is taken as it is, without the Unicode mappings of PRECIS.

/// The longest address, in bytes. The RFC allows three times 1023. Addresses are kept with open
/// requests, and a stanza of 10,000 bytes must have room for two of them with all their escapes.
pub(crate) const MAX_JID: usize = 512;

/// The parts of an address: `local@domain/resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jid<'a> {
    pub(crate) local: Option<&'a str>,
    pub(crate) domain: &'a str,
    pub(crate) resource: Option<&'a str>,
}

impl<'a> Jid<'a> {
    /// Returns the parts of an address, or `None` if the text is not an address.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        let is_valid = text.len() <= MAX_JID
            && local.is_none_or(is_local)
            && !domain.is_empty()
            && !domain.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@')
            && resource.is_none_or(is_resource);
        is_valid.then_some(Self { local, domain, resource })
    }
}

/// Returns whether a text can stand before the `@`.
pub(crate) fn is_local(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "\"&'/:<>@".contains(c);
    !text.is_empty() && text.len() <= MAX_JID && !text.contains(forbidden)
}

/// Returns whether a text can stand behind the `/`.
pub(crate) fn is_resource(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_JID && text.trim() == text && !text.contains(char::is_control)
}

/// Returns whether a text can be the domain that a server serves.
pub(crate) fn is_domain(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(is_allowed)
}
