//! The functions of the contract, as a core module exports them.

use super::bodies;

macro_rules! now {
    () => {
        "(param $session-ms i64) (param $unix-ms i64)"
    };
}

macro_rules! message {
    () => {
        "(param $role i32) (param $id i64) (param $route i32) (param $route-length i32) \
         (param $body i32) (param $body-length i32) (param $status i32)"
    };
}

macro_rules! peer {
    () => {
        "(param $carrier i32) (param $transport i32) (param $transport-length i32) \
         (param $address i32) (param $address-length i32) (param $dialed i32) (param $max-packet i32) \
         (param $seed i32) (param $seed-length i32) (param $attributes i32) (param $attribute-count i32)"
    };
}

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
    BroadcastClass,
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
        Self::BroadcastClass,
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
            Function::BroadcastClass | Function::EncodeShared => "broadcast",
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
            Function::BroadcastClass => "broadcast-class",
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
            Function::Open => concat!(peer!(), now!()),
            Function::Decode => {
                concat!("(param $self i32) (param $packet i32) (param $length i32)", now!())
            }
            Function::Encode => concat!("(param $self i32)", message!(), now!()),
            Function::DecodeBatch => concat!(
                "(param $self i32) (param $bytes i32) (param $bytes-length i32) (param $ends i32) (param $count i32)",
                now!()
            ),
            Function::EncodeBatch => concat!(
                "(param $self i32) (param $bytes i32) (param $bytes-length i32) (param $heads i32) (param $count i32)",
                now!()
            ),
            Function::Answer => {
                concat!("(param $self i32) (param $status i32) (param $body i32) (param $length i32)", now!())
            }
            Function::Tick => concat!("(param $self i32)", now!()),
            Function::Farewell => {
                concat!(
                    "(param $self i32) (param $cause i32) (param $reason i32) (param $length i32)",
                    now!()
                )
            }
            Function::BroadcastClass | Function::Save => "(param $self i32)",
            Function::EncodeShared => concat!("(param $class i32)", message!()),
            Function::Restore => concat!(peer!(), "(param $state i32) (param $length i32)", now!()),
        }
    }

    /// Returns WebAssembly text that passes its parameters on.
    pub(super) fn arguments(self) -> String {
        let names = self.parameters().split("(param ").filter_map(|parameter| parameter.split_once(' '));
        names.map(|(name, _)| format!("(local.get {name})")).collect()
    }

    /// Returns the body in an honest guest.
    pub fn honest(self) -> &'static str {
        match self {
            // The address of a description that is part of the module.
            Function::Describe => "(i32.const 64)",
            Function::Configure => "(call $honest-configure)",
            Function::Open | Function::Restore => "(call $honest-open)",
            Function::Decode => "(call $honest-decode (local.get $packet) (local.get $length))",
            Function::Encode | Function::EncodeShared => {
                "(call $honest-encode (local.get $body) (local.get $body-length))"
            }
            Function::DecodeBatch => {
                "(local $at i32) (local.set $at (call $alloc (i32.const 16))) \
                 (memory.fill (local.get $at) (i32.const 0) (i32.const 16)) (local.get $at)"
            }
            Function::EncodeBatch => {
                "(local $at i32) (local.set $at (call $alloc (i32.const 36))) \
                 (memory.fill (local.get $at) (i32.const 0) (i32.const 36)) (local.get $at)"
            }
            Function::Answer | Function::Tick | Function::Farewell => bodies::NO_EVENTS,
            // An empty state.
            Function::Save => {
                "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 0))"
            }
            // Class 0.
            Function::BroadcastClass => "(call $two (call $alloc (i32.const 8)) (i32.const 1) (i32.const 0))",
        }
    }
}
