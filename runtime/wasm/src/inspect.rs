//! Inspects a component: what it is and what it needs. A component that would be refused is
//! inspected as far as its file allows.

use std::fmt;

use serde::Serialize;

use super::artifact::Loaded;
use super::bounds::Footprint;
use super::component::interfaces;
use super::describe::describe;
use super::direct::Shape;
use super::engine::Pool;
use super::error::{EngineError, LoadError};
use super::imports::{Kind, imports};
use super::snapshot::Readable;
use super::{WasmEngine, WasmLoader};
use wireplug_base::Chain;
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::{Description, Digest, Reason};

/// The number of sandboxes that an inspection needs.
const SANDBOXES: u32 = 2;

/// The largest number of imports and interfaces that are shown, each with at most [`Reason::MAX`]
/// bytes of its name. A component may have a million names of any length.
const MAX_SHOWN: usize = 100;

/// The result of an inspection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// The digest that identifies the component.
    pub digest: Digest,
    /// The size of the file, in bytes.
    pub size: usize,
    /// The version of the contract to which the component was written.
    pub contract: Option<String>,
    /// The interfaces of the contract that the component exports.
    pub interfaces: Vec<String>,
    /// The imports of the component, up to the largest number that is shown.
    pub imports: Vec<Import>,
    /// The number of further imports.
    pub more_imports: usize,
    /// The component's description of itself.
    pub description: Option<Said>,
    /// The resources that a sandbox of the component needs.
    pub needs: Option<Needs>,
    /// How long the compilation took, in milliseconds. `None` if the component does not compile, or
    /// was in the cache.
    pub compile_ms: Option<u64>,
    /// Why the sandboxes of the component need the large pool, or `None` if they fit the standard
    /// pool.
    pub large_pool: Option<String>,
    /// Why the component is called through wasmtime's component API, or `None` if its core module
    /// is called directly, which is faster.
    pub component_calls: Option<String>,
    /// Why the component would be refused, or `None` if it would not be.
    pub refused: Option<String>,
}

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Import {
    /// The name of the import.
    pub name: String,
    /// Whether the component is refused because of this import: it has more than types, and is not
    /// allowed.
    pub refused: bool,
    /// Whether the import is allowed although unused. A call of it is a trap.
    pub trap: bool,
}

/// A codec's description of itself, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Said {
    /// The name of the protocol.
    pub name: String,
    /// The codec's own version.
    pub version: String,
    /// The layout of packets in a stream. If `None`, stream transports are refused.
    pub stream: Option<String>,
    /// What one message or datagram holds. If `None`, such transports are refused.
    pub messages: Option<String>,
    /// Whether packets are `binary`, `text`, or `tagged` as one of the two.
    pub payload: String,
    /// Whether bodies are JSON.
    pub json: bool,
    /// Whether messages and pushes must wait for a handshake.
    pub handshake: bool,
    /// Whether the application may send requests to the client.
    pub client_requests: u16,
    /// Whether a batch of messages may become fewer packets.
    pub coalesces: bool,
    /// The largest packet that the protocol allows, in bytes, if it has a limit of its own.
    pub max_packet: Option<u32>,
}

/// The resources that a sandbox needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Needs {
    /// The number of core instances.
    pub core_instances: u64,
    /// The number of linear memories.
    pub memories: u64,
    /// The initial size of the largest memory, in bytes.
    pub memory: u64,
    /// The number of tables.
    pub tables: u64,
    /// The initial number of elements of the largest table.
    pub table_elements: u64,
    /// The host's memory for the instances, in bytes.
    pub instance_memory: u64,
}

/// Inspects a component: compiles it, and reads its description.
///
/// # Errors
/// Returns an error if there is no room for a sandbox for the inspection. If the component itself
/// cannot be used, that is part of the result.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, EngineError> {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(SANDBOXES, limits.memory)?;
    Ok(WasmLoader::new(&engine, limits).inspect(wasm))
}

impl WasmLoader {
    /// Inspects a component in the way in which this loader would load it. This takes two places of
    /// the engine. If the component cannot be used, that is part of the result.
    pub fn inspect(&self, wasm: &[u8]) -> Inspection {
        let mut inspection = Inspection {
            digest: Digest::of(wasm),
            size: wasm.len(),
            contract: None,
            interfaces: Vec::new(),
            imports: Vec::new(),
            more_imports: 0,
            description: None,
            needs: None,
            compile_ms: None,
            large_pool: None,
            component_calls: None,
            refused: None,
        };
        if let Err(error) = inspection.look(wasm, self) {
            inspection.refused = Some(Chain::of(&error).to_string());
        }
        inspection
    }
}

impl Inspection {
    /// Collects what it can, in the order of a load. The error says why a load would fail.
    fn look(&mut self, wasm: &[u8], loader: &WasmLoader) -> Result<(), LoadError> {
        let compiled = loader.engine.compile(&loader.begin(wasm), wasm)?;
        self.compile_ms = compiled.took.map(|took| took.as_millis() as u64);
        let Loaded::Component(component) = &compiled.loaded else {
            return Err(LoadError::Unusable("its compiled code is not that of a component".into()));
        };
        let engine = component.engine();
        let import = |(name, kind): (String, Kind)| Import {
            name: Reason::new(name).to_string(),
            refused: kind == Kind::Other || (kind == Kind::Wasi && !loader.allow_unused_wasi),
            trap: kind == Kind::Wasi && loader.allow_unused_wasi,
        };
        let imports = imports(component);
        self.more_imports = imports.len().saturating_sub(MAX_SHOWN);
        self.imports = imports.into_iter().take(MAX_SHOWN).map(import).collect();
        for (name, version) in interfaces(engine, component).into_iter().take(MAX_SHOWN) {
            self.interfaces.push(Reason::new(name).to_string());
            self.contract = Some(Reason::new(version).to_string());
        }
        self.needs = Some(compiled.footprint.into());
        if let Pool::Large { reason, .. } = &compiled.pool {
            self.large_pool = Some(reason.clone());
        }
        self.component_calls = why_component_calls(wasm, &compiled.pool);
        let plan = loader.plan(wasm, &compiled)?;
        let mut said = Said::from(describe(&plan)?);
        if plan.abilities.framer {
            said.stream = Some("cut by the codec".into());
        }
        self.description = Some(said);
        Ok(())
    }
}

/// Returns why a component is called through the component API, or `None` if it is called directly.
fn why_component_calls(wasm: &[u8], pool: &Pool) -> Option<String> {
    match pool {
        Pool::Large { .. } => Some("its sandboxes need the large pool".into()),
        Pool::Standard => match (Shape::of(wasm), Readable::new(wasm)) {
            (Err(why), _) => Some(Reason::new(why.to_string()).to_string()),
            (_, Err(why)) => {
                let why = Reason::new(format!("{why:#}"));
                Some(format!("its memory cannot be read out when its options are set: {why}"))
            }
            (Ok(_), Ok(_)) => None,
        },
    }
}

impl From<Footprint> for Needs {
    fn from(footprint: Footprint) -> Self {
        Self {
            core_instances: footprint.core_instances,
            memories: footprint.memories,
            memory: footprint.largest_memory,
            tables: footprint.tables,
            table_elements: footprint.largest_table,
            instance_memory: footprint.host_bytes,
        }
    }
}

impl From<Description> for Said {
    fn from(description: Description) -> Self {
        Self {
            name: description.name,
            version: description.version,
            stream: description.framing.map(|framing| framing.to_string()),
            messages: description.messages.map(|messages| messages.to_string()),
            payload: description.payload.to_string(),
            json: description.json,
            handshake: description.handshake,
            client_requests: description.client_requests,
            coalesces: description.coalesces,
            max_packet: description.max_packet,
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<12} {value}");
        if let Some(said) = &self.description {
            line("codec", &format_args!("{} {}", said.name, said.version))?;
        }
        line("digest", &self.digest)?;
        line("size", &format_args!("{} bytes", self.size))?;
        if let Some(contract) = &self.contract {
            line("contract", contract)?;
            line("interfaces", &self.interfaces.join(", "))?;
        }
        for Import { name, refused, trap } in &self.imports {
            let becomes = match (refused, trap) {
                (true, _) => "refused",
                (false, true) => "a trap when it is called",
                (false, false) => "types only",
            };
            line("import", &format_args!("{name}: {becomes}"))?;
        }
        if self.more_imports > 0 {
            line("import", &format_args!("and {} more", self.more_imports))?;
        }
        if let Some(said) = &self.description {
            line("streams", &said.stream.as_deref().unwrap_or("refused"))?;
            line("messages", &said.messages.as_deref().unwrap_or("refused"))?;
            line("packets", &said.payload)?;
            line("bodies", if said.json { &"JSON" } else { &"the application's affair" })?;
            line("handshake", if said.handshake { &"yes" } else { &"no" })?;
            match said.client_requests {
                0 => line("requests", &"from the client")?,
                1 => line("requests", &"in both directions, to the client one at a time")?,
                max => line("requests", &format_args!("in both directions, to the client {max} at a time"))?,
            }
            if let Some(max_packet) = said.max_packet {
                line("max packet", &format_args!("{max_packet} bytes"))?;
            }
            if said.coalesces {
                line("coalesces", &"a batch of messages may become fewer packets")?;
            }
        }
        if let Some(needs) = &self.needs {
            let Needs { core_instances, memories, memory, tables, table_elements, instance_memory } = needs;
            line("instances", &core_instances)?;
            line("memories", &format_args!("{memories}, the largest of {memory} bytes at first"))?;
            line("tables", &format_args!("{tables}, the largest of {table_elements} elements at first"))?;
            line("host memory", &format_args!("{instance_memory} bytes for the instances of a sandbox"))?;
        }
        if let Some(ms) = self.compile_ms {
            line("compiled in", &format_args!("{ms} ms"))?;
        }
        if self.compile_ms.is_some() || self.needs.is_some() {
            match &self.large_pool {
                None => line("runs", &"in the standard pool")?,
                Some(reason) => line("runs", &format_args!("in the large pool: {reason}"))?,
            }
            match &self.component_calls {
                None => line("is called", &"directly")?,
                Some(reason) => line("is called", &format_args!("through the component API: {reason}"))?,
            }
        }
        match &self.refused {
            Some(reason) => line("refused", reason),
            None => Ok(()),
        }
    }
}
