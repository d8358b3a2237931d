//! The memory that the runtime writes arguments into.
//!
//! The runtime asks for a block for each list of a call, and the call borrows the lists from there.
//! When the call ends, all blocks are free at once. The room for them is kept, so that an ordinary
//! call takes nothing from the allocator of the language, and gives nothing back.

use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::AtomicU8;

/// The size of the room that each instance begins with, in bytes: enough for a small call. The room
/// lies in a static, beside others that each call writes, and is no larger, because each page that
/// a session writes costs memory of its own.
const ROOM: usize = 512;

/// The largest room that is kept from one call to the next, in bytes. It holds a usual batch.
/// Blocks that do not fit are freed when the call ends, so that one large packet does not take
/// memory from the session's limit for the rest of the connection.
const KEPT: usize = 16 << 10;

/// The largest alignment of the canonical ABI.
const ALIGNMENT: usize = 8;

/// Memory with the largest alignment. The vector is always empty: only its capacity counts.
type Block = Vec<u64>;

/// A room in a static. The type of its bytes only lets a static change: nobody reads or writes them
/// as atomic numbers.
#[derive(Debug)]
#[repr(C, align(8))]
struct FirstRoom([AtomicU8; ROOM]);

impl FirstRoom {
    const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; ROOM])
    }
}

#[derive(Debug)]
struct Arena {
    first: &'static FirstRoom,
    /// The room in the place of the first one, which was too small.
    grown: Option<Block>,
    /// How much of the room the current call has taken, in bytes.
    used: usize,
    /// Blocks that do not fit into the room.
    more: Vec<Block>,
}

impl Arena {
    const fn new(first: &'static FirstRoom) -> Self {
        Self { first, grown: None, used: 0, more: Vec::new() }
    }

    /// Returns where the room begins, and its size in bytes.
    #[inline]
    fn room(&mut self) -> (*mut u8, usize) {
        match &mut self.grown {
            None => (self.first.0.as_ptr().cast::<u8>().cast_mut(), ROOM),
            Some(block) => (block.as_mut_ptr().cast(), size_of_block(block)),
        }
    }

    /// Returns memory of this size.
    ///
    /// # Panics
    /// Panics, which is a trap, if there is no memory left.
    #[inline]
    fn allocate(&mut self, alignment: usize, size: usize) -> *mut u8 {
        assert!(alignment <= ALIGNMENT, "the canonical ABI aligns to at most {ALIGNMENT} bytes");
        let (room, room_size) = self.room();
        // The size of the room is a multiple of the alignment, so this is not behind its end.
        let start = (self.used + alignment - 1) & !(alignment - 1);
        if size > room_size - start {
            return self.allocate_more(size);
        }
        self.used = start + size;
        room.wrapping_add(start)
    }

    #[cold]
    fn allocate_more(&mut self, size: usize) -> *mut u8 {
        self.more.push_mut(block(size)).as_mut_ptr().cast()
    }

    /// Returns memory of the new size that begins with the contents of the old block. The old block
    /// is free when the call ends.
    #[expect(unsafe_code, reason = "the canonical ABI passes blocks as addresses")]
    fn reallocate(&mut self, old: *const u8, old_size: usize, alignment: usize, size: usize) -> *mut u8 {
        if size <= old_size && !old.is_null() {
            return old.cast_mut();
        }
        let new = self.allocate(alignment, size);
        if !old.is_null() {
            // SAFETY: the old block has `old_size` bytes and the new one has more. Both are taken
            // until the call ends, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(old, new, old_size) };
        }
        new
    }

    /// Frees all blocks.
    #[inline]
    fn clear(&mut self) {
        if !self.more.is_empty() {
            self.clear_more();
        }
        self.used = 0;
    }

    /// Frees the blocks that did not fit. The next call finds a room that holds as much as this one
    /// needed, if that may be kept.
    #[cold]
    fn clear_more(&mut self) {
        // Each block may need padding before it.
        let more: usize = self.more.iter().map(|block| size_of_block(block) + ALIGNMENT).sum();
        let needed = self.used + more;
        self.more = Vec::new();
        if needed <= KEPT {
            self.grown = None;
            self.grown = Some(block(needed.next_power_of_two()));
        }
    }

    /// Frees all blocks, and forgets that the room has grown.
    fn release(&mut self) {
        *self = Self::new(self.first);
    }
}

/// Returns memory of at least this many bytes.
fn block(size: usize) -> Block {
    Block::with_capacity(size.div_ceil(size_of::<u64>()))
}

/// Returns the size of a block in bytes.
fn size_of_block(block: &Block) -> usize {
    block.capacity() * size_of::<u64>()
}

thread_local! {
    static ARENA: RefCell<Arena> = const {
        static FIRST: FirstRoom = FirstRoom::new();
        RefCell::new(Arena::new(&FIRST))
    };
}

/// The function through which the runtime asks for memory. It serves arguments only.
#[cfg_attr(target_family = "wasm", unsafe(export_name = "cabi_realloc"))]
#[cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "the canonical ABI gives the name"))]
#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "native builds have no runtime"))]
extern "C" fn reallocate(old: *mut u8, old_size: usize, alignment: usize, size: usize) -> *mut u8 {
    ARENA.with_borrow_mut(|arena| arena.reallocate(old, old_size, alignment, size))
}

/// Frees the arguments of a call, and keeps the room for the next one.
#[inline]
pub(crate) fn clear() {
    ARENA.with_borrow_mut(Arena::clear);
}

/// Frees the arguments of a call that happens once. They say nothing about the room that later
/// calls need.
pub(crate) fn release() {
    ARENA.with_borrow_mut(Arena::release);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an arena with a room of its own, because tests run at the same time.
    fn arena() -> Arena {
        Arena::new(Box::leak(Box::new(FirstRoom::new())))
    }

    fn allocate(arena: &mut Arena, alignment: usize, size: usize) -> usize {
        arena.reallocate(ptr::null(), 0, alignment, size).addr()
    }

    /// Returns the size of the room in bytes.
    fn room(arena: &mut Arena) -> usize {
        arena.room().1
    }

    #[test]
    fn blocks_are_aligned_and_follow_each_other() {
        let mut arena = arena();
        let first = allocate(&mut arena, 1, 3);
        assert_eq!(allocate(&mut arena, 1, 2), first + 3);
        assert_eq!(allocate(&mut arena, 8, 8), first + 8);
        assert_eq!(allocate(&mut arena, 2, 1), first + 16);
        assert_eq!(allocate(&mut arena, 4, 4), first + 20);
        for alignment in [1, 2, 4, 8] {
            // Blocks beside the room are aligned too.
            assert!(allocate(&mut arena, alignment, ROOM).is_multiple_of(alignment));
        }
    }

    #[test]
    fn an_empty_block_has_an_aligned_address_and_takes_nothing() {
        let mut arena = arena();
        let first = allocate(&mut arena, 8, 0);
        assert!(first != 0 && first.is_multiple_of(8));
        assert_eq!(allocate(&mut arena, 8, ROOM), first);
        assert!(allocate(&mut arena, 8, 0) != 0);
        assert!(arena.more.is_empty());
    }

    #[test]
    fn the_next_call_gets_the_same_memory() {
        let mut arena = arena();
        let first = allocate(&mut arena, 8, ROOM);
        arena.clear();
        assert_eq!(allocate(&mut arena, 8, ROOM), first);
        assert!(arena.more.is_empty());
    }

    #[test]
    fn the_room_grows_for_a_larger_call() {
        let mut arena = arena();
        allocate(&mut arena, 1, 500);
        allocate(&mut arena, 8, 3000);
        assert_eq!((room(&mut arena), arena.more.len()), (ROOM, 1));
        arena.clear();
        assert_eq!((room(&mut arena), arena.more.len()), (4096, 0));
        allocate(&mut arena, 1, 500);
        allocate(&mut arena, 8, 3000);
        assert!(arena.more.is_empty());
    }

    #[test]
    fn a_room_above_the_limit_is_not_kept() {
        let mut arena = arena();
        allocate(&mut arena, 8, 1);
        allocate(&mut arena, 8, KEPT);
        arena.clear();
        assert_eq!((room(&mut arena), arena.more.capacity()), (ROOM, 0));
        allocate(&mut arena, 8, KEPT - ALIGNMENT);
        arena.clear();
        assert_eq!(room(&mut arena), KEPT);
        allocate(&mut arena, 8, 1 << 20);
        arena.clear();
        assert_eq!((room(&mut arena), arena.more.capacity()), (KEPT, 0));
    }

    #[test]
    fn a_call_that_happens_once_leaves_the_first_room() {
        let mut arena = arena();
        allocate(&mut arena, 8, 2000);
        arena.release();
        assert_eq!((room(&mut arena), arena.used, arena.more.capacity()), (ROOM, 0, 0));
    }

    #[test]
    #[expect(unsafe_code, reason = "the runtime writes blocks by their addresses")]
    fn a_block_that_grows_keeps_its_contents() {
        let mut arena = arena();
        let old = arena.reallocate(ptr::null(), 0, 1, 3);
        // SAFETY: both blocks belong to the call.
        unsafe {
            ptr::copy_nonoverlapping(b"abc".as_ptr(), old, 3);
            let beside = arena.reallocate(ptr::null(), 0, 1, 3);
            ptr::copy_nonoverlapping(b"xyz".as_ptr(), beside, 3);
            let new = arena.reallocate(old, 3, 1, 10);
            let far = arena.reallocate(new, 10, 8, 2 * ROOM);
            assert_eq!(list_at(new), *b"abc");
            assert_eq!(list_at(far), *b"abc");
            assert_eq!(list_at(beside), *b"xyz");
        }
    }

    /// Returns the first bytes of a block.
    ///
    /// # Safety
    /// The block has that many bytes.
    #[expect(unsafe_code, reason = "the runtime reads blocks by their addresses")]
    unsafe fn list_at(block: *const u8) -> [u8; 3] {
        // SAFETY: the caller guarantees it.
        unsafe { block.cast::<[u8; 3]>().read() }
    }

    #[test]
    fn a_block_that_shrinks_stays_where_it_is() {
        let mut arena = arena();
        let old = arena.reallocate(ptr::null(), 0, 4, 16);
        for size in [16, 4, 0] {
            assert_eq!(arena.reallocate(old, 16, 4, size), old);
        }
    }

    #[test]
    #[should_panic = "capacity overflow"]
    fn no_memory_is_a_trap() {
        arena().allocate(8, usize::MAX);
    }

    #[test]
    #[should_panic = "aligns to at most 8"]
    fn an_alignment_above_the_largest_is_a_trap() {
        arena().allocate(16, 1);
    }
}
