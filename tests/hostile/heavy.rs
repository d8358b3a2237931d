//! Components in binary form that no compiler would write: too large, too deep, or with too many
//! parts. They are encoded by hand, because the text format would take longer than the compiler.

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The ids of sections of a component.
const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const NESTED: u8 = 4;
const INSTANCE: u8 = 5;
const TYPE: u8 = 7;
const IMPORT: u8 = 10;

/// An instance of the first module or component, without arguments.
const OF_THE_FIRST: [u8; 3] = [0, 0, 0];

/// Returns components nested this many levels deep.
pub fn nested(levels: usize) -> Vec<u8> {
    let mut heads = Vec::new();
    let mut length = COMPONENT.len();
    for _ in 1..levels {
        let head = [COMPONENT, &[NESTED], &leb(length)].concat();
        length += head.len();
        heads.push(head);
    }
    heads.reverse();
    heads.push(COMPONENT.to_vec());
    heads.concat()
}

/// Returns a component that instantiates a component this many times, and so on down to a core
/// module.
pub fn instantiated(times: usize, levels: usize) -> Vec<u8> {
    let instances = [leb(times), OF_THE_FIRST.repeat(times)].concat();
    let mut component =
        [COMPONENT, &section(CORE_MODULE, MODULE), &section(CORE_INSTANCE, &instances)].concat();
    for _ in 1..levels {
        component = [COMPONENT, &section(NESTED, &component), &section(INSTANCE, &instances)].concat();
    }
    component
}

/// Returns a component with a core module of this many empty functions.
pub fn functions(count: usize) -> Vec<u8> {
    [COMPONENT, &section(CORE_MODULE, &repeated(count, &[0x0b]))].concat()
}

/// Returns a component that behaves like this one and takes longer to compile. It also has a module
/// with this many functions of about 600 bytes, which is never instantiated.
pub fn slowed(component: &[u8], functions: usize) -> Vec<u8> {
    // (if (local.get 0) (then (local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 7))
    // (local.get 0)))))
    const STEP: &[u8] = &[0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 7, 0x6c, 0x20, 0, 0x6a, 0x21, 0, 0x0b];
    let body = [&STEP.repeat(40)[..], &[0x0b]].concat();
    [component, &section(CORE_MODULE, &repeated(functions, &body))].concat()
}

/// Returns a core module with this many functions of one parameter, all with the same body.
fn repeated(count: usize, body: &[u8]) -> Vec<u8> {
    // One type: a function with an i32 parameter and no result.
    let types = section(1, &[1, 0x60, 1, 0x7f, 0]);
    let functions = section(3, &[leb(count), vec![0; count]].concat());
    // A function's code: its length, no locals, and its body.
    let code = [&leb(body.len() + 1)[..], &[0], body].concat();
    let code = section(10, &[leb(count), code.repeat(count)].concat());
    [MODULE, &types, &functions, &code].concat()
}

/// Returns a core module with this many 32-bit globals.
pub fn globals(count: usize) -> Vec<u8> {
    [MODULE, &section(6, &[leb(count), [0x7f, 0, 0x41, 0, 0x0b].repeat(count)].concat())].concat()
}

/// Returns a component with nested component types, this many levels deep.
pub fn nested_types(levels: usize) -> Vec<u8> {
    // Each type has one declaration, which is the next type. The innermost type has none.
    let types = [vec![1, 0x41], [1, 1, 0x41].repeat(levels - 1), vec![0]].concat();
    [COMPONENT, &section(TYPE, &types)].concat()
}

/// Returns a component that contains another one.
pub fn around(component: &[u8]) -> Vec<u8> {
    [COMPONENT, &section(NESTED, component)].concat()
}

/// Returns a component that imports functions with these names.
pub fn importing(names: &[String]) -> Vec<u8> {
    let function = section(TYPE, &[1, 0x40, 0, 1, 0]);
    let import = |name: &String| [&[0][..], &leb(name.len()), name.as_bytes(), &[1, 0]].concat();
    let imports = [leb(names.len()), names.iter().flat_map(import).collect()].concat();
    [COMPONENT, &function, &section(IMPORT, &imports)].concat()
}

/// Returns the component with one more core module, which is instantiated this many times.
pub fn with_instances(component: &[u8], module: &[u8], count: usize) -> Vec<u8> {
    let mut modules = 0;
    let mut rest = &component[COMPONENT.len()..];
    while let [id, behind @ ..] = rest {
        let (length, digits) = unleb(behind);
        modules += usize::from(*id == CORE_MODULE);
        rest = &behind[digits + length..];
    }
    let instance = [vec![0], leb(modules), vec![0]].concat();
    let instances = [leb(count), instance.repeat(count)].concat();
    [component, &section(CORE_MODULE, module), &section(CORE_INSTANCE, &instances)].concat()
}

fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(contents.len()), contents].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn unleb(bytes: &[u8]) -> (usize, usize) {
    let digits = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let number = bytes[..digits].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    (number, digits)
}
