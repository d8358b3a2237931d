//! Guests that can be handed over: lines that come back, and sessions that remember a mark.

use wireplug_tests::hostile::Function::{Decode, Restore, Save};
use wireplug_tests::hostile::Guest;

/// The state is the mark.
pub const SAVE: &str = "(i32.store8 (i32.const 4096) (global.get $mark))
    (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 4096) (i32.const 1))";

/// Takes the mark over.
pub const RESTORE: &str = "(global.set $mark (i32.load8_u (local.get $state))) (call $honest-open)";

/// Refuses, whether to save or to restore; the reason is `not me`.
pub const REFUSE: &str =
    "(return (call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 5000) (i32.const 6)))";

/// An honest guest that exports `handoff`. Each of its sessions remembers the first byte of its
/// first line, through every handoff: its mark.
pub fn marked(name: &str) -> Guest {
    Guest::new(name)
        .items("(global $mark (mut i32) (i32.const 0)) (data (i32.const 5000) \"not me\")")
        .with(Decode, &decode(""))
        .with(Save, SAVE)
        .with(Restore, RESTORE)
}

/// The body of `decode` that remembers the mark, then does `more`, then is honest.
pub fn decode(more: &str) -> String {
    format!(
        "(if (i32.and (i32.eqz (global.get $mark)) (i32.gt_u (local.get $length) (i32.const 0)))
           (then (global.set $mark (i32.load8_u (local.get $packet)))))
         {more}
         (call $honest-decode (local.get $self) (local.get $packet) (local.get $length) (local.get $now))"
    )
}

/// Does `body`, which does not come to its end, in sessions with the mark `!`; else goes on with
/// `honest`.
pub fn if_marked(body: &str, honest: &str) -> String {
    format!("(if (i32.eq (global.get $mark) (i32.const 33)) (then {body})) {honest}")
}

/// `restore` that does `body`, which does not come to its end, where the state has the mark `!`.
pub fn restore_if_marked(body: &str) -> String {
    let marked = if_marked(body, "(call $honest-open)");
    format!("(global.set $mark (i32.load8_u (local.get $state))) {marked}")
}
