//! What a component imports, and what becomes of it: nothing real is ever behind an import.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Error};

use super::error::LoadError;
use super::language::{Language, remedy};
use super::sandbox::State;
use wireplug_core::codec::Reason;

/// How the names begin of what may be let in unused.
const WASI: &str = "wasi:";

/// The most names that an error lists.
const MAX_LISTED: usize = 16;

/// What kind of import it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It brings nothing but types: an interface that another one `use`s is imported so, and there
    /// is nothing to call.
    Types,
    /// The system's, as libraries import it even if nobody calls it.
    Wasi,
    /// Anything else.
    Other,
}

/// The imports of a component, by name.
pub(super) fn imports(component: &Component) -> Vec<(String, Kind)> {
    let engine = component.engine();
    let ty = component.component_type();
    let imports = ty.imports(engine).map(|(name, import)| (name.to_owned(), kind(engine, name, &import.ty)));
    imports.collect()
}

fn kind(engine: &Engine, name: &str, import: &ComponentItem) -> Kind {
    match import {
        ComponentItem::Type(_) => Kind::Types,
        ComponentItem::ComponentInstance(instance) if is_only_types(engine, instance) => Kind::Types,
        _ if name.starts_with(WASI) => Kind::Wasi,
        _ => Kind::Other,
    }
}

fn is_only_types(engine: &Engine, instance: &ComponentInstance) -> bool {
    instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
}

/// What a component, which was compiled from `wasm`, is linked with: nothing, and traps for what is
/// let in.
///
/// # Errors
/// Where it imports what is not let in: with what its author does.
pub(super) fn link(
    wasm: &[u8],
    component: &Component,
    allow_unused_wasi: bool,
) -> Result<Linker<State>, LoadError> {
    let imports = imports(component);
    let of = |wanted| imports.iter().filter(move |(_, kind)| *kind == wanted).map(|(name, _)| &**name);
    let others: Vec<_> = of(Kind::Other).collect();
    let wasi: Vec<_> = of(Kind::Wasi).collect();
    if !others.is_empty() {
        return Err(LoadError::Imports(format!(
            "it imports {}: a codec may import nothing, and all that it knows comes in as arguments",
            listed(&others)
        )));
    }
    if !wasi.is_empty() && !allow_unused_wasi {
        return Err(LoadError::Imports(format!(
            "it imports {}: a codec may import nothing. To mend it, {}. Where a library brings them and nothing calls \
             them, `allow-unused-wasi` lets them in, each a trap",
            listed(&wasi),
            remedy(Language::of(wasm), &wasi)
        )));
    }
    let mut linker = Linker::new(component.engine());
    if !wasi.is_empty() {
        trap_all(&mut linker, component).map_err(|error| {
            let error = Reason::new(format!("{error:#}"));
            LoadError::Imports(format!("its imports cannot be stubbed: {error}"))
        })?;
    }
    Ok(linker)
}

/// The first of these names, each cut and escaped, and how many more there are.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<_> =
        names.iter().take(MAX_LISTED).map(|name| Reason::new(name.as_ref()).to_string()).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Makes each import of WASI a trap.
fn trap_all(linker: &mut Linker<State>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (name, import) in
        component.component_type().imports(engine).filter(|(name, _)| name.starts_with(WASI))
    {
        match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let mut linked = linker.instance(name)?;
                for (item, export) in instance.exports(engine) {
                    trap(&mut linked, item, format!("{name}#{item}"), &export.ty)?;
                }
            }
            ty => trap(&mut linker.root(), name, name.to_owned(), &ty)?,
        }
    }
    Ok(())
}

/// Makes one item a trap that names it.
fn trap(
    linked: &mut LinkerInstance<'_, State>,
    item: &str,
    name: String,
    ty: &ComponentItem,
) -> wasmtime::Result<()> {
    match ty {
        ComponentItem::ComponentFunc(_) => linked.func_new(item, move |_, _, _, _| {
            Err(Error::msg(format!("it called its import {name}, and nothing is behind it")))
        }),
        // Nobody makes one, so nobody drops one.
        ComponentItem::Resource(_) => linked.resource(item, ResourceType::host::<()>(), |_, _| Ok(())),
        ComponentItem::Type(_) => Ok(()),
        _ => Err(Error::msg(format!("{name} is neither a function nor a type"))),
    }
}
