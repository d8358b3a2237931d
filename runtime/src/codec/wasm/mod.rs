//! Wasm codecs: a component is compiled once, and each connection gets a sandbox of its own.
//!
//! Nothing real stands behind a guest: it has no imports. Any error from a call ends its sandbox and its
//! connection, and nothing else.

mod bindings;
mod engine;
mod limits;
mod sandbox;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};
use wasmtime::component::{Component, InstancePre, Linker};

pub use engine::WasmEngine;

use self::bindings::{Exports, Peer as GuestPeer};
use self::limits::answer_bytes;
use self::sandbox::{Sandbox, State, classify};
use self::session::WasmSession;
use super::{Abilities, Codec, CodecError, CodecSession, Description, Peer, Reason};
use crate::config::CodecLimits;
use crate::framing::{Delimiter, Framing, LengthField, MessageUnit, Varint};

/// The Pomelo codec, built from `guest-examples/pomelo`.
pub const POMELO: &[u8] = include_bytes!("../../../codecs/pomelo.wasm");

/// The longest name and version, in bytes.
const MAX_NAME: usize = 64;

/// A codec loaded from a component.
pub struct WasmCodec {
    pre: InstancePre<State>,
    exports: Exports,
    description: Description,
    options: String,
    limits: CodecLimits,
    /// Linear memory of all sandboxes of this codec, in bytes.
    charged: Arc<AtomicUsize>,
}

impl WasmCodec {
    /// Compiles a component, checks it against the contract, and asks it what it is; then opens a sandbox
    /// with `options`, a JSON object, so that wrong options are found now.
    ///
    /// # Errors
    /// Where `wasm` is not a component, imports anything, was written to another version of the contract,
    /// describes itself wrongly, or refuses its options: with what is wrong and what to do.
    pub fn load(
        engine: &WasmEngine,
        wasm: &[u8],
        options: String,
        limits: CodecLimits,
    ) -> anyhow::Result<Self> {
        let engine = &engine.engine;
        if !wasm.starts_with(b"\0asm") {
            bail!("it is not a WebAssembly file");
        }
        if wasm.get(4..8) == Some(&[1, 0, 0, 0]) {
            bail!(
                "it is a core module, not a component: link it with wasm-component-ld, or run `wasm-tools component new` on it"
            );
        }
        let component = Component::from_binary(engine, wasm)
            .map_err(|error| anyhow::anyhow!("it does not compile: {error:#}"))?;
        let exports = Exports::find(engine, &component)?;
        let pre =
            Linker::new(engine).instantiate_pre(&component).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let charged = Arc::default();
        let description =
            describe(&pre, &exports, &limits, Arc::clone(&charged)).context("it does not describe itself")?;
        let codec = Self { pre, exports, description, options, limits, charged };
        let (mut sandbox, opening, _) = codec.sandbox()?;
        codec.configure(&mut sandbox, &opening).context("it refuses its options")?;
        Ok(codec)
    }

    /// The linear memory of all sandboxes of this codec, in bytes.
    pub fn memory(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    fn sandbox(&self) -> Result<(Sandbox, bindings::Opening, bindings::Functions), CodecError> {
        let mut sandbox = Sandbox::new(&self.pre, &self.limits, Arc::clone(&self.charged))?;
        let instance = sandbox.instance;
        let functions = self.exports.functions(&instance, sandbox.store());
        let (opening, functions) = functions.map_err(|error| classify(&error, sandbox.store().data()))?;
        Ok((sandbox, opening, functions))
    }

    fn configure(&self, sandbox: &mut Sandbox, opening: &bindings::Opening) -> Result<(), CodecError> {
        sandbox
            .call(&opening.configure, (self.options.clone(),))?
            .map_err(|reason| CodecError::Refused(Reason::new(reason)))
    }
}

impl Codec for WasmCodec {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.exports.abilities()
    }

    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        // The last tenth is for the sessions that are at work.
        if self.memory() > self.limits.total_memory / 10 * 9 {
            let total = self.limits.total_memory;
            return Err(CodecError::Exhausted(Reason::new(format!(
                "nine tenths of {total} bytes are in use"
            ))));
        }
        let (mut sandbox, opening, functions) = self.sandbox()?;
        self.configure(&mut sandbox, &opening)?;
        let peer = GuestPeer {
            transport: peer.transport,
            address: peer.address,
            entropy: peer.entropy.to_vec(),
            attributes: peer.attributes,
        };
        let session = sandbox
            .call(&opening.open, (peer, 0))?
            .map_err(|reason| CodecError::Refused(Reason::new(reason)))?;
        sandbox.opened(&self.limits);
        let max_answer = answer_bytes(self.limits.max_packet);
        Ok(Box::new(WasmSession { sandbox, functions, session, max_answer }))
    }
}

/// Asks a component what it is, in a sandbox made for the question.
fn describe(
    pre: &InstancePre<State>,
    exports: &Exports,
    limits: &CodecLimits,
    charged: Arc<AtomicUsize>,
) -> anyhow::Result<Description> {
    let mut sandbox = Sandbox::new(pre, limits, charged)?;
    let instance = sandbox.instance;
    let describe =
        exports.describe(&instance, sandbox.store()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let described = sandbox.call(&describe, ())?;

    if !(1..=MAX_NAME).contains(&described.name.len()) || described.version.len() > MAX_NAME {
        bail!("its name has 1 to {MAX_NAME} bytes and its version at most {MAX_NAME}");
    }
    let framing = match described.framing {
        None => None,
        Some(bindings::Framing::Delimiter(bytes)) => Some(Framing::Delimiter(Delimiter::new(&bytes)?)),
        Some(bindings::Framing::Length(field)) => Some(Framing::Length(LengthField::new(
            field.offset,
            field.width,
            field.little_endian,
            field.adjust,
        )?)),
        Some(bindings::Framing::Varint(offset)) => Some(Framing::Varint(Varint::new(offset))),
    };
    let message = match described.message {
        bindings::MessageUnit::Refused => None,
        bindings::MessageUnit::One => Some(MessageUnit::One),
        bindings::MessageUnit::Framed => Some(MessageUnit::Framed),
        bindings::MessageUnit::Bytes => Some(MessageUnit::Bytes),
    };
    let description = Description {
        name: Reason::new(described.name).to_string(),
        version: Reason::new(described.version).to_string(),
        framing,
        message,
        text: described.text,
        json: described.json,
        handshake: described.handshake,
        merges: described.merges,
    };
    if message.is_some() && description.message_layout().is_none() {
        bail!("its message unit needs a framing, and it has none");
    }
    let framed = matches!(message, Some(MessageUnit::Framed | MessageUnit::Bytes));
    if description.text && framed && !matches!(description.framing, Some(Framing::Delimiter(_))) {
        bail!(
            "its packets are text, and the lengths that frame them in messages are not: use a delimiter, or the unit `one`"
        );
    }
    if description.stream_layout().is_none() && message.is_none() {
        bail!("it has neither a framing for streams nor a unit for messages");
    }
    Ok(description)
}
