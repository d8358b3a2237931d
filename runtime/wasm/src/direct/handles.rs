//! The handles of a guest that is called directly: its resource `session`.

use wasmtime::{Error, Result};

use crate::limits::HANDLES;

/// The table of a guest's handles, as the Component Model has one for each instance. A handle
/// stands for a `rep`, the number by which the guest itself knows the resource.
///
/// The guest creates a handle for the session that it opens; the host takes it out of the table,
/// and from then on passes the `rep`. So the table is empty most of the time.
#[derive(Default)]
pub(crate) struct Handles {
    /// The `rep` of each handle, which is the index and 1. `None` if the handle is free.
    reps: Vec<Option<u32>>,
    /// Whether the guest runs a function that may call no import: `cabi_realloc` or `cabi_post_*`.
    may_not_leave: bool,
}

impl Handles {
    /// Notes that the guest may not call its imports, or that it may again.
    pub(super) fn set_may_leave(&mut self, may_leave: bool) {
        self.may_not_leave = !may_leave;
    }

    /// Creates a handle: `resource.new`.
    pub(super) fn create(&mut self, rep: u32) -> Result<u32> {
        self.check_may_leave()?;
        let index = match self.reps.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.reps.len() == HANDLES => {
                return Err(Error::msg("cannot allocate another handle: store handle limit exceeded"));
            }
            None => {
                self.reps.push(None);
                self.reps.len() - 1
            }
        };
        self.reps[index] = Some(rep);
        Ok(index as u32 + 1)
    }

    /// Returns what a handle stands for: `resource.rep`.
    pub(super) fn rep(&self, handle: u32) -> Result<u32> {
        self.check_may_leave()?;
        self.index(handle).and_then(|index| self.reps[index]).ok_or_else(|| unknown(handle))
    }

    /// Takes a handle out of the table: `resource.drop`, by the guest.
    pub(super) fn drop_handle(&mut self, handle: u32) -> Result<u32> {
        self.check_may_leave()?;
        self.take(handle)
    }

    /// Takes a handle that the guest has handed over out of the table.
    pub(super) fn take(&mut self, handle: u32) -> Result<u32> {
        self.index(handle).and_then(|index| self.reps[index].take()).ok_or_else(|| unknown(handle))
    }

    fn index(&self, handle: u32) -> Option<usize> {
        let index = (handle as usize).checked_sub(1)?;
        (index < self.reps.len()).then_some(index)
    }

    fn check_may_leave(&self) -> Result<()> {
        if self.may_not_leave { Err(Error::msg("cannot leave component instance")) } else { Ok(()) }
    }
}

fn unknown(handle: u32) -> Error {
    Error::msg(format!("unknown handle index {handle}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_until_it_is_taken() {
        let mut handles = Handles::default();
        let (one, two) = (handles.create(7).unwrap(), handles.create(8).unwrap());
        assert_eq!((one, two), (1, 2));
        assert_eq!(handles.rep(one).unwrap(), 7);
        assert_eq!(handles.take(one).unwrap(), 7);
        for gone in [one, 0, 3, u32::MAX] {
            let wanted = format!("unknown handle index {gone}");
            assert_eq!(handles.rep(gone).unwrap_err().to_string(), wanted);
            assert_eq!(handles.take(gone).unwrap_err().to_string(), wanted);
            assert_eq!(handles.drop_handle(gone).unwrap_err().to_string(), wanted);
        }
        assert_eq!(handles.create(9).unwrap(), one, "the handle is free again");
        assert_eq!(handles.drop_handle(two).unwrap(), 8);
    }

    #[test]
    fn the_number_of_handles_is_limited() {
        let mut handles = Handles::default();
        for rep in 0..HANDLES as u32 {
            handles.create(rep).unwrap();
        }
        assert!(handles.create(0).is_err());
        handles.take(5).unwrap();
        assert_eq!(handles.create(0).unwrap(), 5);
    }

    #[test]
    fn no_import_may_be_called_where_none_is_allowed() {
        let mut handles = Handles::default();
        let handle = handles.create(1).unwrap();
        handles.set_may_leave(false);
        assert!(handles.create(2).is_err());
        assert!(handles.rep(handle).is_err());
        assert!(handles.drop_handle(handle).is_err());
        handles.set_may_leave(true);
        assert_eq!(handles.rep(handle).unwrap(), 1);
    }
}
