//! The address of a client behind HTTP proxies, from `X-Forwarded-For` or `Forwarded` (RFC 7239).
//!
//! Each proxy adds the address from which the request came to it, at the end. So the list is read
//! from its end, and only as far as the proxies are trusted: everything before was written by the
//! client, or by somebody else.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::proxy::contains;
use crate::config::ForwardedHeader;

/// The most addresses of a list that are read. No honest request passes as many proxies.
const MAX_HOPS: usize = 32;

/// Returns the address of the client that a request names in a header field, with port 0 if it
/// names no port. `peer` is the address from which the request came. Returns `None` if that is no
/// trusted proxy, or names nobody.
pub(super) fn client(
    headers: &HeaderMap,
    header: ForwardedHeader,
    peer: IpAddr,
    trusted: &[IpNet],
) -> Option<SocketAddr> {
    if !contains(trusted, peer) {
        return None;
    }
    let mut hops = match header {
        ForwardedHeader::Forwarded => forwarded(headers),
        ForwardedHeader::XForwardedFor => x_forwarded_for(headers),
    };
    let mut found = None;
    while let Some(hop) = hops.pop()
        && let Some(address) = address(&hop)
    {
        found = Some(address);
        if !contains(trusted, address.ip()) {
            break;
        }
    }
    found
}

/// Returns the last members of `X-Forwarded-For`, from all of its lines.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<String> {
    last(values(headers, "x-forwarded-for").flat_map(|line| line.split(',')).map(str::to_owned).collect())
}

/// Returns the `for` parameters of the last elements of `Forwarded`. An element without one, or one
/// that cannot be read, is an empty text.
fn forwarded(headers: &HeaderMap) -> Vec<String> {
    last(values(headers, "forwarded").flat_map(|line| split(line, ',')).map(|element| by(&element)).collect())
}

fn by(element: &str) -> String {
    let parameters = split(element, ';');
    let named = parameters.iter().filter_map(|parameter| parameter.split_once('='));
    let mut values = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    match (values.next(), values.next()) {
        (Some((_, value)), None) => value.trim().trim_matches('"').to_owned(),
        _ => String::new(),
    }
}

fn last(mut hops: Vec<String>) -> Vec<String> {
    hops.split_off(hops.len().saturating_sub(MAX_HOPS))
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    // A line that is no text breaks the list where it stands.
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default())
}

/// Splits a text at a separator outside of quotes. The text is read from its end: what a client has
/// written stands before what a proxy has added, so a quote that the client left open changes only
/// what the client has written.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut end, mut quoted) = (Vec::new(), text.len(), false);
    for (at, char) in text.char_indices().rev() {
        quoted ^= char == '"';
        if char == separator && !quoted {
            parts.push(text[at + char.len_utf8()..end].to_owned());
            end = at;
        }
    }
    parts.push(text[..end].to_owned());
    parts.reverse();
    parts
}

/// Reads `IP`, `IP:PORT`, `[IPv6]` or `[IPv6]:PORT`.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let of = |ip: IpAddr| SocketAddr::new(ip.to_canonical(), 0);
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

    fn of(header: ForwardedHeader, fields: &[(&str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        client(&headers, header, "10.0.0.1".parse().unwrap(), &trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        // What a client writes into the other field does not count.
        let of = |fields: &[(&str, &str)]| {
            of(ForwardedHeader::XForwardedFor, &[fields, &[("Forwarded", "for=6.6.6.6")]].concat())
        };
        let named = |value| of(&[("X-Forwarded-For", value)]);
        assert_eq!(named("203.0.113.7").as_deref(), Some("203.0.113.7:0"));
        assert_eq!(named("6.6.6.6, 203.0.113.7, 10.1.2.3").as_deref(), Some("203.0.113.7:0"));
        assert_eq!(named("203.0.113.7:4711 ,fd00::1").as_deref(), Some("203.0.113.7:4711"));
        assert_eq!(named("[2001:db8::1]:5").as_deref(), Some("[2001:db8::1]:5"));
        assert_eq!(named("2001:db8::1").as_deref(), Some("[2001:db8::1]:0"));
        // Only proxies are named: the first of them is where the request began.
        assert_eq!(named("10.9.9.9, 10.1.1.1").as_deref(), Some("10.9.9.9:0"));
        // What a client wrote before an address that cannot be read does not count.
        assert_eq!(named("203.0.113.7, who knows, 10.1.1.1").as_deref(), Some("10.1.1.1:0"));
        assert_eq!(named("unknown"), None);
        assert_eq!(of(&[]), None);
        let lines = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.7")];
        assert_eq!(of(&lines).as_deref(), Some("203.0.113.7:0"));
    }

    #[test]
    fn forwarded_may_be_quoted_and_have_other_parameters() {
        let fields = |value| [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", value)];
        let named = |value| of(ForwardedHeader::Forwarded, &fields(value));
        assert_eq!(named("for=203.0.113.7;proto=https").as_deref(), Some("203.0.113.7:0"));
        assert_eq!(named("For=\"[2001:db8::1]:4711\"").as_deref(), Some("[2001:db8::1]:4711"));
        let several = "for=6.6.6.6, for=203.0.113.7;by=\"a,b;for=1.1.1.1\" , proto=http;for=10.0.0.2";
        assert_eq!(named(several).as_deref(), Some("203.0.113.7:0"));
        for nobody in
            ["for=_hidden", "proto=https", "for=unknown", "for=1.1.1.1;for=2.2.2.2", "\"for=1.1.1.1"]
        {
            assert_eq!(named(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.9"));
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let named = |peer: &str, trusted: &[IpNet]| {
            client(&headers, ForwardedHeader::default(), peer.parse().unwrap(), trusted)
        };
        assert_eq!(named("203.0.113.7", &trusted), None);
        assert!(named("::ffff:10.0.0.1", &trusted).is_some());
        assert_eq!(named("10.0.0.1", &[]), None);
    }
}
