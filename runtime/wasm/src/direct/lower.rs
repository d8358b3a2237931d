//! Writes arguments into a guest's memory, as the canonical ABI wants them.

use wasmtime::{Memory, Result, Store, TypedFunc, bail};

use wireplug_core::codec::MessageHead;

use crate::sandbox::State;

/// The type of `cabi_realloc`: the old pointer and size, the alignment and the new size give a
/// pointer.
pub(super) type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// A list or a text in the guest's memory: where it begins, and its length.
pub(super) type List = (u32, u32);

/// Writes the arguments of one call.
pub(super) struct Arguments<'a> {
    pub(super) store: &'a mut Store<State>,
    pub(super) memory: Memory,
    pub(super) realloc: &'a Realloc,
}

impl Arguments<'_> {
    /// Writes a list of bytes, or a text.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<List> {
        let pointer = self.room(bytes.len(), 1)?;
        self.at(pointer, bytes.len()).copy_from_slice(bytes);
        Ok((pointer, bytes.len() as u32))
    }

    /// Writes a list of values that point to nothing.
    pub(super) fn list<T: Lower>(&mut self, values: &[T]) -> Result<List> {
        let size = values.len() * T::SIZE;
        let pointer = self.room(size, T::ALIGN)?;
        let room = self.at(pointer, size);
        values.iter().zip(room.chunks_exact_mut(T::SIZE)).for_each(|(value, bytes)| value.lower(bytes));
        Ok((pointer, values.len() as u32))
    }

    /// Writes a list of pairs of texts.
    pub(super) fn pairs(&mut self, pairs: &[(String, String)]) -> Result<List> {
        const SIZE: usize = 16;
        let list = self.room(pairs.len() * SIZE, 4)?;
        for (index, (name, value)) in pairs.iter().enumerate() {
            let ((name, name_length), (value, value_length)) =
                (self.bytes(name.as_bytes())?, self.bytes(value.as_bytes())?);
            let pair = self.at(list + (index * SIZE) as u32, SIZE);
            for (number, bytes) in
                [name, name_length, value, value_length].iter().zip(pair.chunks_exact_mut(4))
            {
                number.lower(bytes);
            }
        }
        Ok((list, pairs.len() as u32))
    }

    /// Has the guest allocate memory of this size.
    fn room(&mut self, size: usize, align: u32) -> Result<u32> {
        // Batches, options and saved states are far below 4 GiB.
        let Ok(wanted) = u32::try_from(size) else { bail!("an argument has 4 GiB or more") };
        self.store.data_mut().handles.set_may_leave(false);
        let pointer = self.realloc.call(&mut *self.store, (0, 0, align, wanted))?;
        self.store.data_mut().handles.set_may_leave(true);
        if !pointer.is_multiple_of(align) {
            bail!("realloc return: result not aligned");
        }
        let end = (pointer as usize).checked_add(size);
        if end.is_none_or(|end| end > self.memory.data_size(&*self.store)) {
            bail!("realloc return: beyond end of memory");
        }
        Ok(pointer)
    }

    /// Returns memory that [`room`](Self::room) has checked. Memory never shrinks.
    fn at(&mut self, pointer: u32, size: usize) -> &mut [u8] {
        &mut self.memory.data_mut(&mut *self.store)[pointer as usize..][..size]
    }
}

/// A type that a guest takes in lists.
pub(super) trait Lower {
    /// The size of a value in the guest's memory, in bytes.
    const SIZE: usize;

    /// The alignment of a value in the guest's memory, in bytes.
    const ALIGN: u32;

    /// Writes a value to its `SIZE` bytes.
    fn lower(&self, bytes: &mut [u8]);
}

impl Lower for u32 {
    const SIZE: usize = 4;
    const ALIGN: u32 = 4;

    fn lower(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }
}

impl Lower for MessageHead {
    const SIZE: usize = 32;
    const ALIGN: u32 = 8;

    fn lower(&self, bytes: &mut [u8]) {
        bytes[0] = self.role as u8;
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.status.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.route_end.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body_end.to_le_bytes());
    }
}
