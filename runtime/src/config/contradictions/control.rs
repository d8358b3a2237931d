//! The control API: its keys among themselves, and beside the listeners.

use std::path::Path;

use super::{Contradiction, no_file, url};
use crate::config::{ControlAddress, ControlConfig, Key};

/// Finds keys without effect, files that are not there, and an address that a listener has too.
pub(super) fn control(
    control: &ControlConfig,
    taken: &[(usize, String)],
    directory: &Path,
    found: &mut Vec<Contradiction>,
) {
    let key = |name| Key::default().name("control").name(name);
    for (name, why) in control.misfits() {
        found.push(Contradiction { key: key(name), others: vec![key("listen")], what: why.to_owned() });
    }
    for (name, file) in [("token-file", &control.token_file), ("read-token-file", &control.read_token_file)] {
        if let Some(file) = file.as_ref().filter(|file| !directory.join(file).is_file()) {
            found.push(Contradiction { key: key(name), others: Vec::new(), what: no_file(directory, file) });
        }
    }
    let address = match &control.listen {
        Some(ControlAddress::Http(address)) => address.to_string(),
        Some(path) => path.to_string(),
        None => return,
    };
    if let Some((index, _)) = taken.iter().find(|(_, other)| *other == address) {
        found.push(Contradiction {
            key: key("listen"),
            others: vec![url(*index)],
            what: format!("a listener has {address}"),
        });
    }
}
