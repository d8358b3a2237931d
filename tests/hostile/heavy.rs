//! Components that are heavy to compile, encoded by hand: the text format would take longer than the
//! compiler.

/// The sections of a component, by their ids.
const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const COMPONENT: u8 = 4;
const INSTANCE: u8 = 5;

/// How a component begins.
const COMPONENT_HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

/// How a core module begins.
const MODULE_HEAD: &[u8] = b"\0asm\x01\0\0\0";

/// A component within a component, so many times. Twelve bytes each.
pub fn nested(depth: usize) -> Vec<u8> {
    // From the inside to the outside: what stands in front of each.
    let mut fronts = Vec::new();
    let mut length = COMPONENT_HEAD.len();
    for _ in 0..depth {
        let front = [COMPONENT_HEAD, &[COMPONENT], &leb(length)].concat();
        length += front.len();
        fronts.push(front);
    }
    fronts.into_iter().rev().flatten().chain(COMPONENT_HEAD.iter().copied()).collect()
}

/// A component that makes `count` instances of one that makes as many of another, and so on: of core
/// instances, `count` to the power of `levels`. Some KiB.
pub fn instantiated(count: usize, levels: usize) -> Vec<u8> {
    // Each is an instance of the first module or component, without arguments.
    let instances = [leb(count), [0, 0, 0].repeat(count)].concat();
    let core = [section(CORE_MODULE, MODULE_HEAD), section(CORE_INSTANCE, &instances)].concat();
    let innermost = [COMPONENT_HEAD, &core].concat();
    (1..levels).fold(innermost, |inner, _| {
        [COMPONENT_HEAD, &section(COMPONENT, &inner), &section(INSTANCE, &instances)].concat()
    })
}

/// A component with so many functions that do nothing. Four bytes each.
pub fn functions(count: usize) -> Vec<u8> {
    [COMPONENT_HEAD, &section(CORE_MODULE, &module(count, &[0x0b]))].concat()
}

/// A component and, beside it, a module that nobody instantiates: so many functions of some 600 bytes. It
/// behaves as it did, and takes longer to compile.
pub fn slowed(component: &[u8], functions: usize) -> Vec<u8> {
    // (if (local.get 0) (then (local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 7)) (local.get 0)))))
    const STEP: &[u8] = &[0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 7, 0x6c, 0x20, 0, 0x6a, 0x21, 0, 0x0b];
    let body = [&STEP.repeat(40)[..], &[0x0b]].concat();
    [component, &section(CORE_MODULE, &module(functions, &body))].concat()
}

/// A core module with so many functions of one parameter that all have the same body.
fn module(count: usize, body: &[u8]) -> Vec<u8> {
    const TYPE: u8 = 1;
    const FUNCTION: u8 = 3;
    const CODE: u8 = 10;
    // One type: a function of an i32, without a result.
    let types = section(TYPE, &[1, 0x60, 1, 0x7f, 0]);
    let declared = section(FUNCTION, &[leb(count), vec![0; count]].concat());
    // A function's code: its length, no locals, and its body.
    let code = [&leb(body.len() + 1)[..], &[0], body].concat();
    let code = section(CODE, &[leb(count), code.repeat(count)].concat());
    [MODULE_HEAD, &types, &declared, &code].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &leb(content.len())[..], content].concat()
}

/// A number as WebAssembly writes it, seven bits a byte.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
