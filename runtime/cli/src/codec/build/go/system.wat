;; What a program in Go imports: the system calls of its runtime, and the functions of the SDK.
;;
;; `link.rs` merges this module into the module that the Go toolchain makes. An export here takes the
;; place of the import of the same name, where "wasi" stands for "wasi_snapshot_preview1". The imports
;; of this module are exports of the Go program. A call of the system that is not here returns ENOSYS,
;; which the library of Go reports as "not implemented".
;;
;; The Go toolchain leaves the addresses from 4,096 to 12,287 free, because only a browser uses
;; them. This module keeps its data there.
(module
  (import "go" "memory" (memory 0))
  (import "go" "wireplug_realloc" (func $allocate (param i32 i32 i32 i32) (result i32)))

  ;; === The record that the runtime reads after a trap; docs/codecs.md has its layout ===

  ;; position: 4 bytes | length: 4 bytes | text: 512 bytes
  (global $record (export "wireplug_trap") i32 (i32.const 4096))
  (data (i32.const 4096) "\ff\ff\ff\ff\00\00\00\00")

  ;; Appends to the text, as far as there is room.
  (func $note (param $text i32) (param $length i32)
    (local $before i32)
    (local.set $before (i32.load offset=4 (global.get $record)))
    (if (i32.gt_u (local.get $length) (i32.sub (i32.const 512) (local.get $before)))
      (then (local.set $length (i32.sub (i32.const 512) (local.get $before)))))
    (memory.copy
      (i32.add (i32.add (global.get $record) (i32.const 8)) (local.get $before))
      (local.get $text)
      (local.get $length))
    (i32.store offset=4 (global.get $record) (i32.add (local.get $before) (local.get $length))))

  ;; Notes the position in the input of the call.
  (func (export "wireplug at") (param $position i32)
    (i32.store (global.get $record) (local.get $position)))

  ;; Ends the sandbox with this text.
  (func (export "wireplug trap") (param $text i32) (param $length i32)
    (i32.store offset=4 (global.get $record) (i32.const 0))
    (call $note (local.get $text) (local.get $length))
    (unreachable))

  ;; === The memory for the arguments of a call ===

  ;; Most arguments lie in an arena, so that a call need not enter the Go program to get memory.
  (global $arena (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))

  ;; Sets the arena.
  (func (export "wireplug arena") (param $at i32) (param $length i32)
    (global.set $arena (local.get $at))
    (global.set $free (local.get $at))
    (global.set $end (i32.add (local.get $at) (local.get $length))))

  ;; Ends a call: its arguments are not used any more.
  (func (export "wireplug done")
    (global.set $free (global.get $arena))
    (global.set $waits (i32.const 0))
    (i64.store (global.get $record) (i64.const 0xffffffff)))

  ;; Returns new memory of a length and an alignment. Nothing is ever resized: the runtime asks
  ;; for the whole length at once.
  (func (export "cabi_realloc")
    (param $old i32) (param $old_length i32) (param $align i32) (param $length i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (if (i32.and
          (i32.le_u (local.get $at) (global.get $end))
          (i32.le_u (local.get $length) (i32.sub (global.get $end) (local.get $at))))
      (then
        (global.set $free (i32.add (local.get $at) (local.get $length)))
        (return (local.get $at))))
    (call $allocate (local.get $old) (local.get $old_length) (local.get $align) (local.get $length)))

  ;; === The system: a terminal that shows nothing, and no files, clock or randomness ===

  ;; An error of WASI: the descriptor is not open.
  (global $EBADF i32 (i32.const 8))

  ;; Writes what goes to standard error, such as the report of a fatal error, into the record.
  (func (export "wasi fd_write")
    (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $total i32) (local $end i32)
    (local.set $end (i32.add (local.get $parts) (i32.mul (local.get $count) (i32.const 8))))
    (block $all
      (loop $next
        (br_if $all (i32.ge_u (local.get $parts) (local.get $end)))
        (if (i32.eq (local.get $fd) (i32.const 2))
          (then (call $note (i32.load (local.get $parts)) (i32.load offset=4 (local.get $parts)))))
        (local.set $total (i32.add (local.get $total) (i32.load offset=4 (local.get $parts))))
        (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
        (br $next)))
    (i32.store (local.get $written) (local.get $total))
    (i32.const 0))

  ;; Ends the sandbox: after a fatal error, of which there is a report, or by os.Exit.
  (data (i32.const 5248) "os.Exit")
  (func (export "wasi proc_exit") (param $code i32)
    (if (i32.eqz (i32.load offset=4 (global.get $record)))
      (then (call $note (i32.const 5248) (i32.const 7))))
    (unreachable))

  (func (export "wasi sched_yield") (result i32)
    (i32.const 0))

  ;; There are no arguments.
  (func (export "wasi args_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (func (export "wasi args_get") (param $list i32) (param $bytes i32) (result i32)
    (i32.const 0))

  ;; One variable: garbage is collected when the heap has grown by a quarter, and from 1 MiB on.
  ;; The default, 100 and 4 MiB, wastes memory that each connection has of its own.
  (func (export "wasi environ_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 1))
    (i32.store (local.get $size) (i32.const 8))
    (i32.const 0))
  (func (export "wasi environ_get") (param $list i32) (param $bytes i32) (result i32)
    (i32.store (local.get $list) (local.get $bytes))
    ;; "GOGC=25\0"
    (i64.store (local.get $bytes) (i64.const 0x0035323d43474f47))
    (i32.const 0))

  ;; The wall clock, clock 0, stands at 1970: the collector asks for it, so it cannot trap. The
  ;; other clocks count how often they were read, because the runtime of Go divides by differences.
  (global $reads (mut i64) (i64.const 0))
  (func (export "wasi clock_time_get")
    (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (global.set $reads (i64.add (global.get $reads) (i64.const 1000)))
    (i64.store (local.get $time)
      (if (result i64) (local.get $clock)
        (then (global.get $reads))
        (else (i64.const 0))))
    (i32.const 0))

  ;; While the program starts, the runtime of Go asks for the seed of its maps and of math/rand.
  ;; Zeros make the same calls give the same answers. Later only crypto/rand asks, and zeros would
  ;; be no secret.
  (data (i32.const 5120) "crypto/rand has no randomness in a codec: use Peer.RandomSeed")
  (func (export "wasi random_get") (param $at i32) (param $length i32) (result i32)
    (if (global.get $arena)
      (then
        (call $note (i32.const 5120) (i32.const 61))
        (unreachable)))
    (memory.fill (local.get $at) (i32.const 0) (local.get $length))
    (i32.const 0))

  ;; Nothing can wake a codec but its next call. Before a report of a fatal error, the runtime of Go
  ;; waits a few times for other threads, so a few waits of a call end at once.
  (global $waits (mut i32) (i32.const 0))
  (data (i32.const 5184) "a call cannot wait: use Events.Timer and Tick")
  (func (export "wasi poll_oneoff")
    (param $in i32) (param $out i32) (param $count i32) (param $ready i32) (result i32)
    (global.set $waits (i32.add (global.get $waits) (i32.const 1)))
    (if (i32.gt_u (global.get $waits) (i32.const 16))
      (then
        (call $note (i32.const 5184) (i32.const 45))
        (unreachable)))
    (i32.store (local.get $ready) (i32.const 0))
    (i32.const 0))

  ;; No descriptor is open but standard input, output and error, and none is known more about. The
  ;; library of Go looks for its folders until this error.
  (func (export "wasi fd_prestat_get") (param $fd i32) (param $info i32) (result i32)
    (global.get $EBADF))
  (func (export "wasi fd_fdstat_get") (param $fd i32) (param $info i32) (result i32)
    (global.get $EBADF)))
