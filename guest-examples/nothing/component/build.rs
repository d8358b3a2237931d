//! Sizes the component's stack.

fn main() {
    // The linker's default is 1 MiB, which every connection's sandbox would be charged for. The protocol's
    // deepest call needs a few KiB; an overflow traps, since the stack lies below the data.
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
    println!("cargo::rerun-if-changed=build.rs");
}
