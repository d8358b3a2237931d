//! What a function's body may look like that needs none of its own.

/// Never comes to an end.
pub const LOOP: &str = "(loop $again (br $again)) unreachable";
/// Traps.
pub const TRAP: &str = "unreachable";
/// Answers with no event at all.
pub const NO_EVENTS: &str = "(call $two (call $alloc (i32.const 8)) (i32.const 0) (i32.const 0))";
/// Calls itself until the stack is used up.
pub const RECURSION: &str = "(call $recurse (i64.const 0)) unreachable";
/// Wants a page after the other, and traps when it is refused one.
pub const GROW: &str =
    "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
/// Wants more than there is, at once, and traps when it is refused.
pub const LEAP: &str =
    "(if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable)) unreachable";
