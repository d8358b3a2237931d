//! The heap of a configured instance.
//!
//! The memory of a configured instance becomes the image that all sandboxes share until they write
//! to it, page by page. Parsing the options leaves gaps all over the heap. A session whose first
//! allocations were in these gaps would write to a page of its own for each of them.

use std::hint::black_box;
use std::mem::forget;

/// The size from which no gap is filled, in bytes: that of a page of WebAssembly.
const LARGE: usize = 64 << 10;

/// The most that the smallest block of the allocator holds, in bytes.
const SMALLEST: usize = 12;

/// Fills the gaps of the heap for good, so that later allocations lie behind everything that is
/// there, and next to each other. The gaps stay a part of the image, so no sandbox pays for them.
pub fn fill_gaps() {
    let end = address(&Vec::with_capacity(LARGE));
    let mut size = LARGE / 2;
    loop {
        let block = Vec::with_capacity(size);
        if address(&block) < end {
            forget(block);
        } else if size == SMALLEST {
            return;
        } else {
            size = (size / 2).max(SMALLEST);
        }
    }
}

/// Returns where a block is. The compiler cannot leave out an allocation whose address is used.
fn address(block: &Vec<u8>) -> usize {
    black_box(block.as_ptr()).addr()
}
