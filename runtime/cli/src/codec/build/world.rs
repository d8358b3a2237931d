//! A WIT world, which defines the exports of a component. Projects in languages other than Rust
//! have their world in `wit/`, under the codec's name.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use wit_component::DecodedWasm;
use wit_parser::{Interface, Resolve, WorldId, WorldItem};

/// A world, and the packages that it refers to.
pub(super) struct World {
    pub(super) resolve: Resolve,
    pub(super) id: WorldId,
}

impl World {
    /// Reads the world of a project.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let wit = folder.join("wit");
        if !wit.is_dir() {
            bail!(
                "its folder wit is missing: wit/world.wit says what the codec exports, and wit/deps has the contract. `wireplug codec \
                 new` makes both"
            );
        }
        let mut resolve = Resolve::default();
        let pushed = resolve.push_dir(&wit);
        // The error has the file, the line and the text of that line.
        let (package, _) = pushed.map_err(|error| anyhow!(resolve.render_error(&error)))?;
        let id = resolve.select_world(&[package], None).context("in wit/")?;
        Ok(Self { resolve, id })
    }

    /// Decodes the world of a component.
    pub(super) fn of_component(component: &[u8]) -> anyhow::Result<Self> {
        match wit_component::decode(component)? {
            DecodedWasm::Component(resolve, id) => Ok(Self { resolve, id }),
            DecodedWasm::WitPackage(..) => bail!("it is a WIT package, and no component"),
        }
    }

    /// Returns the codec's name, which is also the world's name.
    pub(super) fn name(&self) -> &str {
        &self.resolve.worlds[self.id].name
    }

    /// Returns the name as an argument for tools. The `%` marks it as a name, even if it is a
    /// keyword of WIT.
    pub(super) fn argument(&self) -> String {
        format!("%{}", self.name())
    }

    /// Returns the names of the exported interfaces.
    pub(super) fn exports(&self) -> impl Iterator<Item = &str> {
        let interface = |item: &WorldItem| match item {
            WorldItem::Interface { id, .. } => self.resolve.interfaces[*id].name.as_deref(),
            _ => None,
        };
        self.resolve.worlds[self.id].exports.values().filter_map(interface)
    }

    /// Returns the interfaces of the contract that a codec can export: the name of each, and its id
    /// as a world writes it.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = (&str, String)> {
        let of_contract = |interface: &&Interface| {
            let package = interface.package.map(|id| &self.resolve.packages[id].name);
            package.is_some_and(|name| name.namespace == "wireplug") && !interface.functions.is_empty()
        };
        let interfaces = self.resolve.interfaces.iter();
        interfaces
            .filter(move |(_, interface)| of_contract(interface))
            .filter_map(|(id, interface)| Some((interface.name.as_deref()?, self.resolve.id_of(id)?)))
    }
}
