//! Detects that files have changed and settled.

use std::time::Duration;

/// How often files are checked. After a change they must stay the same for this time before they
/// are read, so that files that belong together are read together.
///
/// The files are checked at intervals instead of being watched by the kernel. A check detects a
/// rename, a write in place, a changed link and a change on a network file system alike, and costs
/// almost nothing.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The state of files that are read again when they change. `Look` is the type that describes how
/// the files look, such as their [fingerprints](crate::FileFingerprint).
#[derive(Debug)]
pub struct FileWatch<Look> {
    last: Option<Look>,
    read: Option<Look>,
}

impl<Look: Clone + PartialEq> FileWatch<Look> {
    /// Creates the state of files that look like `now`. `read` is how they looked when they were
    /// read, or `None` if they have not been read.
    pub fn new(now: Option<Look>, read: Option<Look>) -> Self {
        Self { last: now, read }
    }

    /// Records how the files look now, or `None` if one of them is missing, as for a moment while
    /// it is replaced. Returns how they look if they have changed since they were read, and have
    /// settled.
    pub fn changed(&mut self, now: Option<Look>) -> Option<&Look> {
        let settled = now == self.last;
        self.last = now;
        self.last.as_ref().filter(|now| settled && Some(*now) != self.read.as_ref())
    }

    /// Returns whether the files have been read.
    pub fn was_read(&self) -> bool {
        self.read.is_some()
    }

    /// Records that the files were read as they looked last.
    pub fn set_read(&mut self) {
        self.read.clone_from(&self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_have_settled_and_only_once() {
        let mut watch = FileWatch::new(Some(1), Some(1));
        assert_eq!(watch.changed(Some(1)), None, "as they were read");
        assert_eq!(watch.changed(Some(2)), None, "they may still change");
        assert_eq!(watch.changed(None), None, "one is being replaced");
        assert_eq!(watch.changed(None), None, "one is gone");
        assert_eq!(watch.changed(Some(3)), None, "they have just come");
        assert_eq!(watch.changed(Some(3)), Some(&3));
        assert_eq!(watch.changed(Some(3)), Some(&3), "nobody has read them");
        watch.set_read();
        assert_eq!(watch.changed(Some(3)), None);
    }

    #[test]
    fn files_that_were_never_read_need_no_change() {
        let mut watch = FileWatch::new(Some(1), None);
        assert!(!watch.was_read());
        assert_eq!(watch.changed(Some(1)), Some(&1));
    }
}
