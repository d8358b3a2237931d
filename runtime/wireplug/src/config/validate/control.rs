//! The control API: its keys against each other, and against the listeners.

use std::path::Path;

use super::addresses::{Taken, url};
use super::{Conflict, no_file};
use crate::config::{ControlAddress, ControlConfig, HealthConfig, Key};

/// Finds keys without effect, missing files, and an address that a listener also has.
pub(super) fn control(
    control: &ControlConfig,
    taken: &[(usize, Taken)],
    directory: &Path,
    found: &mut Vec<Conflict>,
) {
    let key = |name| Key::default().name("control").name(name);
    for (name, why) in control.misfits() {
        found.push(Conflict { key: key(name), others: vec![key("listen")], what: why.to_owned() });
    }
    if let Some(tls) = &control.tls {
        super::tls(&key("tls"), tls, directory, found);
    }
    if let Some(file) = control.token_file.as_ref().filter(|file| !directory.join(file).is_file()) {
        found.push(Conflict { key: key("token-file"), others: Vec::new(), what: no_file(directory, file) });
    }
    if let Some(own) = control.listen.as_ref().and_then(Taken::by_control) {
        clash(key("listen"), &own, taken, found);
    }
}

/// Finds an address for health checks that a listener or the control API also has.
pub(super) fn health(
    health: &HealthConfig,
    control: Option<&ControlConfig>,
    taken: &[(usize, Taken)],
    found: &mut Vec<Conflict>,
) {
    let key = |table| Key::default().name(table).name("listen");
    let Some(own) = Taken::by_control(&ControlAddress::Http(health.listen)) else { return };
    clash(key("health"), &own, taken, found);
    let control = control.and_then(|control| Taken::by_control(control.listen.as_ref()?));
    if let Some(what) = control.and_then(|control| control.clash(&own, "the control API")) {
        found.push(Conflict { key: key("health"), others: vec![key("control")], what });
    }
}

/// Finds a listener that has an address too.
fn clash(key: Key, own: &Taken, taken: &[(usize, Taken)], found: &mut Vec<Conflict>) {
    let clash = taken.iter().find_map(|(index, there)| Some((*index, there.clash(own, "a listener")?)));
    if let Some((index, what)) = clash {
        found.push(Conflict { key, others: vec![url(index)], what });
    }
}
