//! The control API: its keys against each other, and against the listeners.

use std::path::Path;

use super::addresses::{Taken, url};
use super::{Conflict, no_file};
use crate::config::{ControlConfig, Key};

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
    for (name, file) in [("token-file", &control.token_file), ("read-token-file", &control.read_token_file)] {
        if let Some(file) = file.as_ref().filter(|file| !directory.join(file).is_file()) {
            found.push(Conflict { key: key(name), others: Vec::new(), what: no_file(directory, file) });
        }
    }
    let Some(own) = control.listen.as_ref().and_then(Taken::by_control) else { return };
    let clash = taken.iter().find_map(|(index, there)| Some((*index, there.clash(&own, "a listener")?)));
    if let Some((index, what)) = clash {
        found.push(Conflict { key: key("listen"), others: vec![url(index)], what });
    }
}
