//! Core modules that have too much of one thing, from which [`super::components`] makes components.
//!
//! Each function takes a count, so that a test can stay below a limit or exceed it. A module is
//! valid unless a count exceeds what WebAssembly itself allows.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module,
    RefType, TableSection, TableType, TypeSection, ValType,
};

/// Returns an empty module.
pub fn empty() -> Vec<u8> {
    Module::new().finish()
}

/// Returns a module with this many globals: 16 bytes each in every instance, 5 bytes each in the
/// file.
pub fn globals(count: u32) -> Vec<u8> {
    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    let mut globals = GlobalSection::new();
    for _ in 0..count {
        globals.global(ty, &ConstExpr::i32_const(0));
    }
    let mut module = Module::new();
    module.section(&globals);
    module.finish()
}

/// Returns a module with this many tables of this many elements. An element takes 8 bytes in every
/// instance, and nothing in the file.
pub fn tables(count: u32, elements: u64) -> Vec<u8> {
    let ty = TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: elements,
        maximum: None,
        shared: false,
    };
    let mut tables = TableSection::new();
    for _ in 0..count {
        tables.table(ty);
    }
    let mut module = Module::new();
    module.section(&tables);
    module.finish()
}

/// Returns a module with one memory of this many pages.
pub fn memory(pages: u64) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&one_memory(pages));
    module.finish()
}

/// Returns a module with this many functions, each with a body of this many instructions.
pub fn functions(count: u32, instructions: u32) -> Vec<u8> {
    let mut body = Function::new([]);
    for n in 0..instructions / 2 {
        body.instructions().i32_const(n as i32).drop();
    }
    body.instructions().end();
    of_bodies(count, &body)
}

/// Returns a module with this many functions, each with this many locals. A function takes a few
/// bytes in the file, and a local a variable in the compiler.
pub fn locals(functions: u32, locals: u32) -> Vec<u8> {
    let mut body = Function::new([(locals, ValType::I64)]);
    body.instructions().end();
    of_bodies(functions, &body)
}

/// Returns a module with one function whose blocks are nested this deep.
pub fn blocks(depth: u32) -> Vec<u8> {
    let mut body = Function::new([]);
    for _ in 0..depth {
        body.instructions().block(BlockType::Empty);
    }
    for _ in 0..depth {
        body.instructions().end();
    }
    body.instructions().end();
    of_bodies(1, &body)
}

/// Returns a module with one function that has this many branch tables of this many targets.
pub fn branch_tables(count: u32, targets: usize) -> Vec<u8> {
    let mut body = Function::new([]);
    for _ in 0..count {
        body.instructions()
            .block(BlockType::Empty)
            .i32_const(0)
            .br_table(std::iter::repeat_n(0, targets), 0)
            .end();
    }
    body.instructions().end();
    of_bodies(1, &body)
}

/// Returns a module with this many different function types.
pub fn function_types(count: u32) -> Vec<u8> {
    const TYPES: [ValType; 4] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
    let mut types = TypeSection::new();
    for n in 0..count {
        // The number in base 4, so that 12 parameters distinguish 16 million types.
        let parameters = (0..12).map(|digit| TYPES[(n >> (2 * digit) & 3) as usize]);
        types.ty().function(parameters, []);
    }
    let mut module = Module::new();
    module.section(&types);
    module.finish()
}

/// Returns a module with this many data segments of one byte.
pub fn data_segments(count: u32) -> Vec<u8> {
    let mut data = DataSection::new();
    for _ in 0..count {
        data.passive([0]);
    }
    let mut module = Module::new();
    module.section(&one_memory(1)).section(&DataCountSection { count }).section(&data);
    module.finish()
}

/// Returns a module with this many element segments of one function.
pub fn element_segments(count: u32) -> Vec<u8> {
    let mut elements = ElementSection::new();
    for _ in 0..count {
        elements.passive(Elements::Functions([0][..].into()));
    }
    let mut body = Function::new([]);
    body.instructions().end();
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module.section(&no_parameters()).section(&declared(1)).section(&elements).section(&code);
    module.finish()
}

/// Returns a module with this many exports of one function, with the names `f0`, `f1` and so on.
pub fn exports(count: u32) -> Vec<u8> {
    let mut exports = ExportSection::new();
    for n in 0..count {
        exports.export(&format!("f{n}"), ExportKind::Func, 0);
    }
    let mut body = Function::new([]);
    body.instructions().end();
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module.section(&no_parameters()).section(&declared(1)).section(&exports).section(&code);
    module.finish()
}

/// Returns a module of functions without parameters and results that all have this body.
fn of_bodies(count: u32, body: &Function) -> Vec<u8> {
    let mut code = CodeSection::new();
    for _ in 0..count {
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&no_parameters()).section(&declared(count)).section(&code);
    module.finish()
}

fn no_parameters() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types
}

fn declared(count: u32) -> FunctionSection {
    let mut functions = FunctionSection::new();
    for _ in 0..count {
        functions.function(0);
    }
    functions
}

fn one_memory(pages: u64) -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memories
}
