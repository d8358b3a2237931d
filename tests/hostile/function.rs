//! The functions of the contract, as a core module exports them.

use super::bodies;

/// A function of the contract that can be replaced, or added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract describes them")]
pub enum Function {
    Describe,
    Configure,
    Open,
    Decode,
    Encode,
    DecodeBatch,
    EncodeBatch,
    Answer,
    Tick,
    Farewell,
    ShareClass,
    EncodeShared,
    Save,
    Restore,
}

impl Function {
    /// All functions.
    pub const ALL: [Self; 14] = [
        Self::Describe,
        Self::Configure,
        Self::Open,
        Self::Decode,
        Self::Encode,
        Self::DecodeBatch,
        Self::EncodeBatch,
        Self::Answer,
        Self::Tick,
        Self::Farewell,
        Self::ShareClass,
        Self::EncodeShared,
        Self::Save,
        Self::Restore,
    ];

    /// Returns the interface of the contract that contains the function.
    pub(super) fn interface(self) -> &'static str {
        match self {
            Function::Describe
            | Function::Configure
            | Function::Open
            | Function::Decode
            | Function::Encode => "codec",
            Function::DecodeBatch | Function::EncodeBatch => "batch",
            Function::Answer => "handshake",
            Function::Tick => "clock",
            Function::Farewell => "farewell",
            Function::ShareClass | Function::EncodeShared => "broadcast",
            Function::Save | Function::Restore => "handoff",
        }
    }

    /// Returns the name of the function in that interface.
    pub fn name(self) -> &'static str {
        match self {
            Function::Describe => "describe",
            Function::Configure => "configure",
            Function::Open => "[static]session.open",
            Function::Decode => "[method]session.decode",
            Function::Encode => "[method]session.encode",
            Function::DecodeBatch => "decode-batch",
            Function::EncodeBatch => "encode-batch",
            Function::Answer => "answer",
            Function::Tick => "tick",
            Function::Farewell => "farewell",
            Function::ShareClass => "share-class",
            Function::EncodeShared => "encode-shared",
            Function::Save => "save",
            Function::Restore => "restore",
        }
    }

    /// Returns its parameters as WebAssembly text. The result of each function is an i32.
    pub fn parameters(self) -> &'static str {
        match self {
            Function::Describe => "",
            Function::Configure => "(param $options i32) (param $length i32)",
            Function::Open => "(param i32 i32 i32 i32 i32 i32 i32 i32) (param $now i64)",
            Function::Decode => "(param $self i32) (param $packet i32) (param $length i32) (param $now i64)",
            Function::Encode => {
                "(param $self i32) (param $has-id i32) (param $id i64) (param $route i32) (param $route-length i32) \
                 (param $body i32) (param $body-length i32) (param $status i32) (param $now i64)"
            }
            Function::DecodeBatch => {
                "(param $self i32) (param $bytes i32) (param $bytes-length i32) (param $ends i32) (param $count i32) (param $now i64)"
            }
            Function::EncodeBatch => {
                "(param $self i32) (param $bytes i32) (param $bytes-length i32) (param $heads i32) (param $count i32) (param $now i64)"
            }
            Function::Answer => {
                "(param $self i32) (param $status i32) (param $body i32) (param $length i32) (param $now i64)"
            }
            Function::Tick => "(param $self i32) (param $now i64)",
            Function::Farewell => {
                "(param $self i32) (param $reason i32) (param $length i32) (param $now i64)"
            }
            Function::ShareClass | Function::Save => "(param $self i32)",
            Function::EncodeShared => {
                "(param $class i32) (param $has-id i32) (param $id i64) (param $route i32) (param $route-length i32) \
                 (param $body i32) (param $body-length i32) (param $status i32)"
            }
            Function::Restore => {
                "(param i32 i32 i32 i32 i32 i32 i32 i32) (param $state i32) (param $length i32) (param $now i64)"
            }
        }
    }

    /// Returns the body in an honest guest.
    pub fn honest(self) -> &'static str {
        match self {
            // The address of a description that is part of the module.
            Function::Describe => "(i32.const 64)",
            Function::Configure => "(call $honest-configure)",
            Function::Open | Function::Restore => "(call $honest-open)",
            Function::Decode => {
                "(call $honest-decode (local.get $self) (local.get $packet) (local.get $length) (local.get $now))"
            }
            Function::Encode => {
                "(call $honest-encode (local.get $self) (local.get $has-id) (local.get $id) (local.get $route) \
                 (local.get $route-length) (local.get $body) (local.get $body-length) (local.get $status) (local.get $now))"
            }
            Function::DecodeBatch => {
                "(local $at i32) (local.set $at (call $alloc (i32.const 16))) \
                 (memory.fill (local.get $at) (i32.const 0) (i32.const 16)) (local.get $at)"
            }
            Function::EncodeBatch => {
                "(local $at i32) (local.set $at (call $alloc (i32.const 32))) \
                 (memory.fill (local.get $at) (i32.const 0) (i32.const 32)) (local.get $at)"
            }
            Function::Answer | Function::Tick => bodies::NO_EVENTS,
            // No packet, or an empty state.
            Function::Farewell | Function::Save => {
                "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 0))"
            }
            // Class 0.
            Function::ShareClass => "(call $two (call $alloc (i32.const 8)) (i32.const 1) (i32.const 0))",
            // Encodes as `encode` does, with a session and a time of zero, which it does not use.
            Function::EncodeShared => {
                "(call $honest-encode (i32.const 0) (local.get $has-id) (local.get $id) (local.get $route) \
                 (local.get $route-length) (local.get $body) (local.get $body-length) (local.get $status) (i64.const 0))"
            }
        }
    }
}
