//! Whether a request comes from the page of the console itself.
//!
//! A browser sends the cookie of the console only with requests from the same site
//! (`SameSite=Strict`). But another port of the same host is the same site, so the cookie alone
//! proves nothing. Browsers also say where a request comes from, and no page can forge that.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};

/// Where a request comes from, as a browser says it for pages that it trusts: over HTTPS, or on
/// loopback.
pub(in crate::admin) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A header that a request has at most once.
enum Once<'a> {
    Missing,
    Is(&'a [u8]),
    Repeated,
}

/// Returns whether a request comes from a page of the same origin. A request that may change
/// something must prove it. For others it is enough that no header speaks against it.
pub(in crate::admin) fn is_of_the_page(method: &Method, headers: &HeaderMap) -> bool {
    let (site, origin) = (once(headers, SEC_FETCH_SITE), once(headers, ORIGIN));
    let proven = [
        match site {
            Once::Missing => None,
            Once::Is(site) => Some(site == b"same-origin"),
            Once::Repeated => Some(false),
        },
        match (origin, once(headers, HOST)) {
            (Once::Missing, _) => None,
            (Once::Is(origin), Once::Is(host)) => Some(authority(origin) == Some(host)),
            _ => Some(false),
        },
    ];
    !proven.contains(&Some(false)) && (method.is_safe() || proven.contains(&Some(true)))
}

/// Returns whether the page was loaded over HTTPS, from this server or through a proxy that ends
/// TLS.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn authority(origin: &[u8]) -> Option<&[u8]> {
    origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"))
}

fn once(headers: &HeaderMap, name: HeaderName) -> Once<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Once::Missing,
        (Some(value), None) => Once::Is(value.as_bytes()),
        (Some(_), Some(_)) => Once::Repeated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_of_the_page_with(method: Method, fields: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        is_of_the_page(&method, &headers)
    }

    #[test]
    fn a_change_must_prove_where_it_comes_from() {
        let host = ("host", "127.0.0.1:3011");
        for (fields, reads, changes) in [
            (&[host][..], true, false),
            (&[host, ("origin", "http://127.0.0.1:3011")], true, true),
            (&[host, ("origin", "https://127.0.0.1:3011")], true, true),
            (&[host, ("sec-fetch-site", "same-origin")], true, true),
            (&[host, ("sec-fetch-site", "same-site")], false, false),
            (&[host, ("sec-fetch-site", "cross-site")], false, false),
            (&[host, ("sec-fetch-site", "none")], false, false),
            // Another port of the same host is another origin.
            (&[host, ("origin", "http://127.0.0.1:3012")], false, false),
            (&[host, ("origin", "http://127.0.0.1:30110")], false, false),
            (&[host, ("origin", "null")], false, false),
            (&[("origin", "http://127.0.0.1:3011")], false, false),
            (&[host, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")], false, false),
            (&[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false, false),
        ] {
            assert_eq!(is_of_the_page_with(Method::GET, fields), reads, "GET {fields:?}");
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert_eq!(is_of_the_page_with(method.clone(), fields), changes, "{method} {fields:?}");
            }
        }
    }
}
