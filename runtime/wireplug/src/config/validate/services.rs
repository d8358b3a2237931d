//! The services, and how they are reached.

use std::path::Path;

use super::{Conflict, no_file};
use crate::config::{Config, HttpConfig, Key, ServiceConfig};

/// Checks the services.
pub(super) fn services(config: &Config, directory: &Path, found: &mut Vec<Conflict>) {
    let mut with_hello = config.services.iter().filter(|(_, service)| service.hello);
    if let Some((first, _)) = with_hello.next() {
        let key = |name| Key::default().name("services").name(name).name("hello");
        found.extend(with_hello.map(|(name, _)| Conflict {
            key: key(name),
            others: vec![key(first)],
            what: "only one service can answer the hellos of clients".to_owned(),
        }));
    }
    for (name, service) in &config.services {
        let key = Key::default().name("services").name(name);
        match &service.url {
            Some(_) => http(&key, service, directory, found),
            None => nats(&key, service, config.nats.is_some(), found),
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            let what = "the name of a service is the first segment of its routes: letters, digits, - and _"
                .to_owned();
            found.push(Conflict { key: key.clone(), others: Vec::new(), what });
        }
        for (index, route) in service.concurrent_routes.iter().enumerate() {
            if route.strip_prefix(name.as_str()).is_none_or(|rest| !rest.starts_with('.')) {
                let what = format!("{route:?} is no route of this service: those begin with `{name}.`");
                let key = key.clone().name("concurrent-routes").index(index);
                found.push(Conflict { key, others: Vec::new(), what });
            }
        }
    }
}

/// Checks a service behind NATS.
fn nats(key: &Key, service: &ServiceConfig, has_nats: bool, found: &mut Vec<Conflict>) {
    let url = key.clone().name("url");
    if !has_nats {
        let what = "it has no `url`, so it is reached over NATS, and there is no [nats]".to_owned();
        found.push(Conflict {
            key: key.clone(),
            others: vec![url.clone(), Key::default().name("nats")],
            what,
        });
    }
    if !service.events.is_empty() {
        let what =
            "it has no effect without `url`: a service behind NATS subscribes to `events` below the prefix, \
                    where a node publishes all events"
                .to_owned();
        found.push(Conflict { key: key.clone().name("events"), others: vec![url.clone()], what });
    }
    if service.http != HttpConfig::default() {
        let what = "it has no effect without `url`: the service is reached over NATS".to_owned();
        found.push(Conflict { key: key.clone().name("http"), others: vec![url], what });
    }
}

/// Checks a service over HTTP.
fn http(key: &Key, service: &ServiceConfig, directory: &Path, found: &mut Vec<Conflict>) {
    let (url, http) = (key.clone().name("url"), key.clone().name("http"));
    if !cfg!(feature = "http") {
        let what = "this build knows no services over HTTP: build it with the feature `http`".to_owned();
        found.push(Conflict { key: url.clone(), others: Vec::new(), what });
    }
    let Some(file) = &service.http.ca_file else { return };
    let urls = service.url.iter().flat_map(|urls| urls.all());
    let problem = if !directory.join(file).is_file() {
        Some((no_file(directory, file), Vec::new()))
    } else if !{ urls }.any(|url| url.starts_with("https://")) {
        Some(("it has no effect without a URL that begins with `https://`".to_owned(), vec![url]))
    } else {
        bad_file(&directory.join(file)).map(|what| (what, Vec::new()))
    };
    if let Some((what, others)) = problem {
        found.push(Conflict { key: http.name("ca-file"), others, what });
    }
}

/// Returns what is wrong with the content of a file with root certificates.
#[cfg(feature = "http")]
fn bad_file(file: &Path) -> Option<String> {
    crate::http::check_roots(file).err().map(|error| format!("{error:#}"))
}

#[cfg(not(feature = "http"))]
fn bad_file(_: &Path) -> Option<String> {
    None
}
