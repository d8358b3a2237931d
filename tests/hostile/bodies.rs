//! Bodies of functions that tests share.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use wireplug::config::CodecLimits;
use wireplug_core::codec::{Codec as _, MessageRef};
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::{Function, Guest};

/// Never returns.
pub const LOOP: &str = "(loop $again (br $again)) unreachable";
/// Traps.
pub const TRAP: &str = "unreachable";
/// Answers with no events.
pub const NO_EVENTS: &str = "(call $two (call $alloc (i32.const 8)) (i32.const 0) (i32.const 0))";
/// Calls itself until the stack is used up.
pub const RECURSION: &str = "(call $recurse (i64.const 0)) unreachable";
/// Grows the memory page by page, and traps when that is refused.
pub const GROW: &str =
    "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
/// Requests more memory than the limit at once, and traps when that is refused.
pub const LEAP: &str =
    "(if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable)) unreachable";
/// The function that [`burn`] calls, as an item of a module.
pub const BURN: &str = "(func $burn (param $left i64)
    (loop $again
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get $left) (i64.const 0)))))";

/// Returns a call that computes for this time on this machine. The guest must have [`BURN`] among
/// its items.
pub fn burn(time: Duration) -> String {
    let rounds = time.as_secs_f64() * *ROUNDS_A_SECOND;
    format!("(call $burn (i64.const {}))", rounds as u64)
}

/// How many times the loop of [`BURN`] runs in a second, at its fastest.
static ROUNDS_A_SECOND: LazyLock<f64> = LazyLock::new(|| {
    const ROUNDS: u32 = 2_000_000;
    let body = format!("(call $burn (i64.const {ROUNDS})) {}", Function::EncodeShared.honest());
    let guest = Guest::new("measured").items(BURN).with(Function::EncodeShared, &body).build();
    let limits = CodecLimits { call_cpu: Duration::from_secs(1), ..CodecLimits::default() };
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    let codec = WasmLoader::new(&engine, limits).load(&guest, "{}".into()).expect("a good codec");
    let time = || {
        let begun = Instant::now();
        let push = MessageRef::notice("", b"");
        codec.encode_shared(0, push).expect("it encodes");
        begun.elapsed()
    };
    let fastest = (0..10).map(|_| time()).min().expect("there are ten");
    f64::from(ROUNDS) / fastest.as_secs_f64()
});

/// A body of `encode-shared` that keeps each push, and answers the next push with it.
pub const LAST_PUSH: &str = "(local $kept i32) (local $length i32)
    (local.set $length (i32.load (i32.const 4096)))
    (if (local.get $length)
      (then
        (local.set $kept (call $alloc (local.get $length)))
        (memory.copy (local.get $kept) (i32.const 4100) (local.get $length)))
      (else
        (local.set $kept (local.get $body))
        (local.set $length (local.get $body-length))))
    (i32.store (i32.const 4096) (local.get $body-length))
    (memory.copy (i32.const 4100) (local.get $body) (local.get $body-length))
    (call $honest-encode (local.get $kept) (local.get $length))";
