//! Guests with `handoff`: they echo lines, and their sessions remember a mark.

use wireplug_tests::hostile::Function::{Decode, Restore, Save};
use wireplug_tests::hostile::Guest;

/// A body of `save` whose state is the mark.
pub const SAVE: &str = "(i32.store8 (i32.const 4096) (global.get $mark))
    (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 4096) (i32.const 1))";

/// A body of `restore` that takes the mark from the state.
pub const RESTORE: &str = "(global.set $mark (i32.load8_u (local.get $state))) (call $honest-open)";

/// Refuses to save or restore, with the reason `not me`.
pub const REFUSE: &str =
    "(return (call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 5000) (i32.const 6)))";

/// An honest guest that exports `handoff`. Each session remembers its mark, the first byte of its
/// first line, through every handoff.
pub fn marked(name: &str) -> Guest {
    Guest::new(name)
        .items("(global $mark (mut i32) (i32.const 0)) (data (i32.const 5000) \"not me\")")
        .with(Decode, &decode(""))
        .with(Save, SAVE)
        .with(Restore, RESTORE)
}

/// Returns a body of `decode` that remembers the mark, runs `more`, and then decodes honestly.
pub fn decode(more: &str) -> String {
    format!(
        "(if (i32.and (i32.eqz (global.get $mark)) (i32.gt_u (local.get $length) (i32.const 0)))
           (then (global.set $mark (i32.load8_u (local.get $packet)))))
         {more}
         (call $honest-decode (local.get $packet) (local.get $length))"
    )
}

/// Returns a body that runs `body` in sessions with the mark `!`, and otherwise `honest`. `body`
/// must not return normally.
pub fn if_marked(body: &str, honest: &str) -> String {
    format!("(if (i32.eq (global.get $mark) (i32.const 33)) (then {body})) {honest}")
}

/// Returns a body of `restore` that runs `body` if the state has the mark `!`. `body` must not
/// return normally.
pub fn restore_if_marked(body: &str) -> String {
    let marked = if_marked(body, "(call $honest-open)");
    format!("(global.set $mark (i32.load8_u (local.get $state))) {marked}")
}
