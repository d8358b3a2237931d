//! The type of a component: the interfaces that it exports.

use wit_component::StringEncoding;
use wit_parser::Resolve;

/// The contract. For each codec, a world is added to it.
const CONTRACT: &str = include_str!("../../wit/codec.wit");

/// Returns the type of a component that exports these interfaces and `batch`, as the linker finds
/// it in a section of the module.
pub(crate) fn of(interfaces: &[&str]) -> Vec<u8> {
    let exports: String = interfaces.iter().map(|name| format!("export {name};")).collect();
    let contract = format!("{CONTRACT}\nworld exported {{ export batch; {exports} }}");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("codec.wit", &contract).expect("the contract is WIT");
    let world = resolve.select_world(&[package], Some("exported")).expect("the world is in the text");
    wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None, false)
        .expect("the world can be encoded")
}
