//! Finds out whether a component can be called directly: which core module it is, and which
//! function of that module each function of the contract is.
//!
//! The component has been validated by wasmtime before. Only its outermost level, and the
//! components that wrap its exports, are read; nothing is assumed about names but the destructor's.

use std::collections::HashMap;
use std::ops::Range;

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentTypeRef, Encoding, ExternalKind, Instance, Parser, Payload,
};

use super::Intrinsic;

/// The core module of a component, and how the component calls it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Where the core module lies in the component.
    pub(crate) module: Range<usize>,
    /// The functions of the contract: of each interface and name, the export of the core module.
    pub(super) functions: HashMap<(String, String), Lifted>,
    /// The export that is the memory.
    pub(super) memory: String,
    /// The export that allocates memory for arguments.
    pub(super) realloc: String,
    /// What the core module imports: of each module and name, the intrinsic.
    pub(super) imports: Vec<(String, String, Intrinsic)>,
}

/// A function of a core module that a component exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lifted {
    /// The export of the core module.
    pub(super) core: String,
    /// The export that is called when the answer has been read.
    pub(super) post_return: Option<String>,
}

/// Why a component cannot be called directly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Indirect {
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("it runs code of several core modules")]
    SeveralModules,
    #[error("its core module imports {0}")]
    Imports(String),
    #[error("it lifts a function with an option that only the component API supports")]
    Options,
    #[error("it exports no function")]
    NoFunctions,
    #[error("its parts are linked in a way that only the component API supports")]
    Linked,
}

impl Shape {
    /// Reads a component.
    ///
    /// # Errors
    /// Returns why the component cannot be called directly.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, Indirect> {
        Outline::read(wasm)?.shape()
    }
}

/// A core module of the component.
struct CoreModule {
    range: Range<usize>,
    /// The module and the name of each import.
    imports: Vec<(String, String)>,
    has_start: bool,
}

/// An instance of a core module, or a bundle of functions that is an argument of one.
enum CoreInstance {
    Of { module: usize, arguments: HashMap<String, usize> },
    Bundle(HashMap<String, usize>),
}

/// A core function.
enum CoreFunction {
    Export { instance: usize, name: String },
    Intrinsic(Intrinsic, u32),
    Other,
}

/// A function that the component lifts from a core function.
struct Lift {
    core: usize,
    memory: Option<usize>,
    realloc: Option<usize>,
    post_return: Option<usize>,
    is_plain: bool,
}

/// A component in the component: it wraps functions that it imports.
#[derive(Default)]
struct Wrapper {
    /// The names under which it imports its first functions.
    imported: Vec<String>,
    /// Each function that it exports, as the index of a function.
    exported: HashMap<String, usize>,
    functions: usize,
}

enum ComponentPart {
    Imported,
    Bundle(HashMap<String, usize>),
    Wrapped { component: usize, arguments: HashMap<String, usize> },
}

/// What a component holds, by the index spaces of the Component Model.
#[derive(Default)]
struct Outline {
    modules: Vec<CoreModule>,
    core_instances: Vec<CoreInstance>,
    core_functions: Vec<CoreFunction>,
    core_memories: Vec<(usize, String)>,
    functions: Vec<Option<Lift>>,
    wrappers: Vec<Wrapper>,
    instances: Vec<ComponentPart>,
    exports: Vec<(String, usize)>,
}

impl Outline {
    fn read(wasm: &[u8]) -> Result<Self, Indirect> {
        let mut outline = Self::default();
        // What is open, the outermost first.
        let mut open: Vec<Open> = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Payload::Version { encoding, range, .. } = &payload {
                open.push(match (open.len(), encoding) {
                    (0, Encoding::Component) => Open::Component,
                    (1, Encoding::Module) => {
                        let range = range.start..range.start;
                        outline.modules.push(CoreModule { range, imports: Vec::new(), has_start: false });
                        Open::Module
                    }
                    (1, Encoding::Component) => {
                        outline.wrappers.push(Wrapper::default());
                        Open::Wrapper
                    }
                    _ => Open::Deeper,
                });
                continue;
            }
            match (open.last(), payload) {
                (_, Payload::End(offset)) => {
                    if let (Some(Open::Module), Some(module)) = (open.pop(), outline.modules.last_mut()) {
                        module.range.end = offset;
                    }
                }
                (Some(Open::Component), payload) => outline.add(payload)?,
                (Some(Open::Module), payload) => {
                    outline.modules.last_mut().ok_or(Indirect::Linked)?.add(payload)?;
                }
                (Some(Open::Wrapper), payload) => {
                    outline.wrappers.last_mut().ok_or(Indirect::Linked)?.add(payload)?;
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    /// Adds a section of the outermost component.
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Indirect> {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section {
                    let instance = match instance? {
                        Instance::Instantiate { module_index, args } => CoreInstance::Of {
                            module: module_index as usize,
                            arguments: args
                                .iter()
                                .map(|arg| (arg.name.to_owned(), arg.index as usize))
                                .collect(),
                        },
                        Instance::FromExports(exports) => {
                            let functions = exports.iter().filter(|export| export.kind == ExternalKind::Func);
                            CoreInstance::Bundle(
                                functions
                                    .map(|export| (export.name.to_owned(), export.index as usize))
                                    .collect(),
                            )
                        }
                    };
                    self.core_instances.push(instance);
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.add_alias(&alias?)?;
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    self.add_canonical(function?);
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    match import?.ty {
                        ComponentTypeRef::Instance(_) => self.instances.push(ComponentPart::Imported),
                        ComponentTypeRef::Func(_) => self.functions.push(None),
                        ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_) => {
                            return Err(Indirect::Linked);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let instance = match instance? {
                        ComponentInstance::Instantiate { component_index, args } => ComponentPart::Wrapped {
                            component: component_index as usize,
                            arguments: args
                                .iter()
                                .filter(|arg| arg.kind == ComponentExternalKind::Func)
                                .map(|arg| (arg.name.to_owned(), arg.index as usize))
                                .collect(),
                        },
                        ComponentInstance::FromExports(exports) => ComponentPart::Bundle(
                            exports
                                .iter()
                                .filter(|export| export.kind == ComponentExternalKind::Func)
                                .map(|export| (export.name.name.to_owned(), export.index as usize))
                                .collect(),
                        ),
                    };
                    self.instances.push(instance);
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    // An export is one more item of its index space.
                    match export.kind {
                        ComponentExternalKind::Instance => {
                            let index = export.index as usize;
                            self.exports.push((export.name.name.to_owned(), index));
                            self.instances.push(ComponentPart::Imported);
                        }
                        ComponentExternalKind::Func => self.functions.push(None),
                        ComponentExternalKind::Module | ComponentExternalKind::Component => {
                            return Err(Indirect::Linked);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentStartSection { .. } => return Err(Indirect::Linked),
            _ => {}
        }
        Ok(())
    }

    fn add_alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), Indirect> {
        match *alias {
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } => {
                let instance = instance_index as usize;
                self.core_functions.push(CoreFunction::Export { instance, name: name.to_owned() });
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Memory, instance_index, name } => {
                self.core_memories.push((instance_index as usize, name.to_owned()));
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Func, .. } => {
                self.functions.push(None);
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Instance, .. } => {
                self.instances.push(ComponentPart::Imported);
            }
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module | ComponentExternalKind::Component,
                ..
            } => return Err(Indirect::Linked),
            _ => {}
        }
        Ok(())
    }

    fn add_canonical(&mut self, function: CanonicalFunction) {
        let function = match function {
            CanonicalFunction::Lift { core_func_index, options, .. } => {
                let mut lift = Lift {
                    core: core_func_index as usize,
                    memory: None,
                    realloc: None,
                    post_return: None,
                    is_plain: true,
                };
                for option in &options {
                    match *option {
                        CanonicalOption::UTF8 => {}
                        CanonicalOption::Memory(index) => lift.memory = Some(index as usize),
                        CanonicalOption::Realloc(index) => lift.realloc = Some(index as usize),
                        CanonicalOption::PostReturn(index) => lift.post_return = Some(index as usize),
                        _ => lift.is_plain = false,
                    }
                }
                self.functions.push(Some(lift));
                return;
            }
            CanonicalFunction::ResourceNew { resource } => CoreFunction::Intrinsic(Intrinsic::New, resource),
            CanonicalFunction::ResourceRep { resource } => CoreFunction::Intrinsic(Intrinsic::Rep, resource),
            CanonicalFunction::ResourceDrop { resource } => {
                CoreFunction::Intrinsic(Intrinsic::Drop, resource)
            }
            _ => CoreFunction::Other,
        };
        self.core_functions.push(function);
    }

    fn shape(&self) -> Result<Shape, Indirect> {
        let mut instance = None;
        let mut memory = None;
        let mut realloc = None;
        let mut functions = HashMap::new();
        for (interface, index) in &self.exports {
            for (name, lift) in self.exported(*index)? {
                if !lift.is_plain {
                    return Err(Indirect::Options);
                }
                let lifted = Lifted {
                    core: self.one(&mut instance, lift.core)?,
                    post_return: lift.post_return.map(|post| self.one(&mut instance, post)).transpose()?,
                };
                if let Some(function) = lift.realloc {
                    same(&mut realloc, self.one(&mut instance, function)?)?;
                }
                if let Some(index) = lift.memory {
                    let (of, name) = self.core_memories.get(index).ok_or(Indirect::Linked)?;
                    same(&mut instance, *of)?;
                    same(&mut memory, name.clone())?;
                }
                functions.insert((interface.clone(), name), lifted);
            }
        }
        let instance = instance.ok_or(Indirect::NoFunctions)?;
        let Some(CoreInstance::Of { module, arguments }) = self.core_instances.get(instance) else {
            return Err(Indirect::Linked);
        };
        let others = self.modules.iter().enumerate().filter(|(index, _)| index != module);
        if others.into_iter().any(|(_, other)| other.has_start) {
            return Err(Indirect::SeveralModules);
        }
        let CoreModule { range, imports, .. } = self.modules.get(*module).ok_or(Indirect::Linked)?;
        let mut resource = None;
        let imports = imports.iter().map(|(from, name)| {
            let foreign = || Indirect::Imports(format!("{from} {name}"));
            let bundle = arguments.get(from).and_then(|index| self.core_instances.get(*index));
            let Some(CoreInstance::Bundle(bundle)) = bundle else { return Err(foreign()) };
            let function = bundle.get(name).and_then(|index| self.core_functions.get(*index));
            let Some(CoreFunction::Intrinsic(intrinsic, of)) = function else { return Err(foreign()) };
            same(&mut resource, *of)?;
            Ok((from.clone(), name.clone(), *intrinsic))
        });
        let imports = imports.collect::<Result<_, _>>()?;
        Ok(Shape {
            module: range.clone(),
            functions,
            memory: memory.ok_or(Indirect::Linked)?,
            realloc: realloc.ok_or(Indirect::Linked)?,
            imports,
        })
    }

    /// Returns the functions that an exported instance has.
    fn exported(&self, instance: usize) -> Result<Vec<(String, &Lift)>, Indirect> {
        let lift = |index: usize| match self.functions.get(index) {
            Some(Some(lift)) => Ok(lift),
            _ => Err(Indirect::Linked),
        };
        match self.instances.get(instance) {
            Some(ComponentPart::Bundle(bundle)) => {
                bundle.iter().map(|(name, index)| Ok((name.clone(), lift(*index)?))).collect()
            }
            Some(ComponentPart::Wrapped { component, arguments }) => {
                let wrapper = self.wrappers.get(*component).ok_or(Indirect::Linked)?;
                let exported = wrapper.exported.iter().map(|(name, index)| {
                    let argument = wrapper.imported.get(*index).and_then(|import| arguments.get(import));
                    Ok((name.clone(), lift(*argument.ok_or(Indirect::Linked)?)?))
                });
                exported.collect()
            }
            _ => Err(Indirect::Linked),
        }
    }

    /// Returns the name of a core function, which must be an export of the one core instance.
    fn one(&self, instance: &mut Option<usize>, function: usize) -> Result<String, Indirect> {
        match self.core_functions.get(function) {
            Some(CoreFunction::Export { instance: of, name }) => {
                same(instance, *of)?;
                Ok(name.clone())
            }
            _ => Err(Indirect::Linked),
        }
    }
}

impl CoreModule {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Indirect> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::StartSection { .. } => self.has_start = true,
            _ => {}
        }
        Ok(())
    }
}

impl Wrapper {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Indirect> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Func(_) if self.functions == self.imported.len() => {
                            self.imported.push(import.name.name.to_owned());
                            self.functions += 1;
                        }
                        ComponentTypeRef::Type(_) => {}
                        _ => return Err(Indirect::Linked),
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Func => {
                            self.exported.insert(export.name.name.to_owned(), export.index as usize);
                            self.functions += 1;
                        }
                        ComponentExternalKind::Type => {}
                        _ => return Err(Indirect::Linked),
                    }
                }
            }
            // Anything else that could define a function.
            Payload::ComponentAliasSection(_)
            | Payload::ComponentCanonicalSection(_)
            | Payload::ComponentInstanceSection(_)
            | Payload::InstanceSection(_)
            | Payload::ComponentStartSection { .. } => return Err(Indirect::Linked),
            _ => {}
        }
        Ok(())
    }
}

/// What a parser is in.
#[derive(Clone, Copy)]
enum Open {
    /// The outermost component.
    Component,
    /// A core module in it.
    Module,
    /// A component in it.
    Wrapper,
    /// Something in one of these.
    Deeper,
}

/// Notes what must be the same wherever it occurs.
fn same<T: PartialEq>(known: &mut Option<T>, one: T) -> Result<(), Indirect> {
    match known {
        Some(known) if *known != one => Err(Indirect::SeveralModules),
        _ => {
            *known = Some(one);
            Ok(())
        }
    }
}

impl From<wasmparser::BinaryReaderError> for Indirect {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error.to_string())
    }
}
