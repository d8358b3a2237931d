//! The imports of a component. No import ever reaches a real resource.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Error};

use super::error::LoadError;
use super::language::{Language, remedy};
use super::sandbox::State;
use wireplug_core::codec::Reason;

/// The prefix of the names of imports that may be allowed although unused.
const WASI: &str = "wasi:";

/// The largest number of names that an error lists.
const MAX_LISTED: usize = 16;

/// The kind of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The import contains only types, and no function to call. An interface is imported in this
    /// way if another interface `use`s it.
    Types,
    /// An interface of WASI. Libraries import it even if no code calls it.
    Wasi,
    /// Anything else.
    Other,
}

/// Returns the imports of a component, each with its name and kind.
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

/// Links a component that was compiled from `wasm`. Allowed imports of WASI become traps, and no
/// other import is linked.
///
/// # Errors
/// Returns an error if the component imports something that is not allowed. The error says what its
/// author can do.
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

/// Lists the first of these names, each shortened and escaped, and the number of the others.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<_> =
        names.iter().take(MAX_LISTED).map(|name| Reason::new(name.as_ref()).to_string()).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Links each import of WASI with a trap.
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

/// Links one item with a trap that names it.
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
        // No code creates such a resource, so no code drops one.
        ComponentItem::Resource(_) => linked.resource(item, ResourceType::host::<()>(), |_, _| Ok(())),
        ComponentItem::Type(_) => Ok(()),
        _ => Err(Error::msg(format!("{name} is neither a function nor a type"))),
    }
}
