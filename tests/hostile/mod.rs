//! Guests written by hand, of which single functions misbehave.
//!
//! [`Guest::new`] is honest. Its packets are lines. Each line is a request with id 1 on the route
//! [`GUEST`], and the whole line is the body. The packet for a message is the message's body. So
//! with an echo as the application, a client gets back what it sent. Each function can be replaced
//! by another body in WebAssembly text. A function that [strikes](Guest::strike) misbehaves only at
//! packets that begin with `!`, so that honest neighbours can use the same codec.
//!
//! A body may begin with its own locals, and uses the parameters by name:
//!
//! | function | parameters | result: the address of |
//! |---|---|---|
//! | `describe` | none | `description` |
//! | `configure` | `$options $length` | `result<_, string>` |
//! | `open` | the peer, 8 times i32; `$now` | `result<session, string>` |
//! | `decode` | `$self $packet $length $now` | `result<list<event>, fault>` |
//! | `encode` | `$self $has-id $id $route $route-length $body $body-length $status $now` | `result<option<list<u8>>, fault>` |
//! | `decode-batch` | `$self $bytes $bytes-length $ends $count $now` | `events` |
//! | `encode-batch` | `$self $bytes $bytes-length $heads $count $now` | `result<encoded, string>` |
//! | `answer` | `$self $status $body $length $now` | `list<event>` |
//! | `tick` | `$self $now` | `list<event>` |
//! | `farewell` | `$self $reason $length $now` | `option<list<u8>>` |
//! | `share-class` | `$self` | `option<u32>` |
//! | `encode-shared` | `$class $has-id $id $route $route-length $body $body-length $status` | `result<option<list<u8>>, string>` |
//! | `save` | `$self` | `result<list<u8>, string>` |
//! | `restore` | the peer, 8 times i32; `$state $length $now` | `result<session, string>` |
//!
//! `$now` and `$id` are i64. All other parameters and all results are i32. A body may call:
//!
//! | call | what it does |
//! |---|---|
//! | `$alloc bytes` | the address of fresh memory, aligned to 8; given back when the call is over |
//! | `$two at a b` | writes two i32, and returns `at` |
//! | `$three at a b c` | writes three i32, and returns `at` |
//! | `$event at kind` | makes an event there: 0 hello, 1 established, 2 message, 3 reply, 4 wake, 5 close. One has 48 bytes |
//! | `$message at body length` | makes a message on the usual route there |
//! | `$honest-decode`, `$honest-encode` | the honest functions, with the parameters of `decode` and `encode` |
//! | `$honest-open`, `$honest-configure` | the honest functions, without parameters |
//!
//! Addresses 4096 to 8191 are free for [`Guest::items`], for example for data. Events with a body
//! (hello, reply, close) have its address at offset 8 and its length at offset 12. A wake has its
//! milliseconds at offset 8.
//!
//! [`components`] has attacks by whole components that have too much of something.

pub mod bodies;
pub mod components;
mod function;
pub mod heavy;
pub mod modules;

use anyhow::Context as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub use self::function::Function;
use crate::app::GUEST;

/// The contract.
const CONTRACT: &str = include_str!("../../wit/codec.wit");

/// The address of the texts of the description. Below it is the address of the empty list.
const TEXTS: usize = 1024;

/// The address at which the heap begins.
const HEAP: usize = 8192;

/// A guest that can be built as a component.
#[derive(Clone, Debug)]
pub struct Guest {
    name: String,
    version: String,
    framing: Framing,
    handshake: bool,
    functions: Vec<(Function, String)>,
    start: Option<String>,
    realloc: String,
    memory: String,
    items: String,
    imports: String,
}

/// How packets are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A packet is a line.
    Line,
    /// A packet follows its length, which has four bytes and is big-endian.
    Length,
}

impl Guest {
    /// Makes an honest guest with this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            framing: Framing::Line,
            handshake: false,
            functions: Vec::new(),
            start: None,
            realloc: "(call $bump (local.get $size))".to_owned(),
            memory: "(memory (export \"memory\") 2)".to_owned(),
            items: String::new(),
            imports: String::new(),
        }
    }

    /// Sets the name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Sets the framing.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Declares a handshake. The honest guest never ends it.
    pub fn handshake(mut self) -> Self {
        self.handshake = true;
        self
    }

    /// Sets the version of the contract.
    pub fn contract(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// Sets the body of a function. This exports an optional function. The other function of its
    /// interface is honest unless it is set too; in `batch`, that means empty.
    pub fn with(mut self, function: Function, body: &str) -> Self {
        self.functions.retain(|(other, _)| *other != function);
        self.functions.push((function, body.to_owned()));
        self
    }

    /// Makes `decode` run this body at packets that begin with `!`. Other packets are decoded
    /// honestly.
    pub fn strike(self, body: &str) -> Self {
        let body = format!(
            "(if (call $strikes (local.get $packet) (local.get $length)) (then (return (call $strike (local.get $self) (local.get $packet) (local.get $length) (local.get $now)))))
             (call $honest-decode (local.get $self) (local.get $packet) (local.get $length) (local.get $now))
             ) (func $strike (param $self i32) (param $packet i32) (param $length i32) (param $now i64) (result i32)
             {body}"
        );
        self.with(Function::Decode, &body)
    }

    /// Makes `encode` run this body at messages whose bodies begin with `!`. Other messages are
    /// encoded honestly.
    pub fn strike_back(self, body: &str) -> Self {
        let parameters = Function::Encode.parameters();
        let body = format!(
            "(if (call $strikes (local.get $body) (local.get $body-length)) (then (return (call $strike-back {ARGUMENTS}))))
             (call $honest-encode {ARGUMENTS})
             ) (func $strike-back {parameters} (result i32)
             {body}"
        );
        return self.with(Function::Encode, &body);

        const ARGUMENTS: &str = "(local.get $self) (local.get $has-id) (local.get $id) (local.get $route) (local.get $route-length)
             (local.get $body) (local.get $body-length) (local.get $status) (local.get $now)";
    }

    /// Sets the body of the start function.
    pub fn start(mut self, body: &str) -> Self {
        self.start = Some(body.to_owned());
        self
    }

    /// Sets the body of `cabi_realloc`, whose parameters are `$old $old-size $align $size`.
    pub fn realloc(mut self, body: &str) -> Self {
        self.realloc = body.to_owned();
        self
    }

    /// Sets the memory, such as `(memory (export "memory") …)`.
    pub fn memory(mut self, memory: &str) -> Self {
        self.memory = memory.to_owned();
        self
    }

    /// Puts the items of another module at the beginning, as text without its imports. The items
    /// keep their numbers: the only import of a guest is function 0, so that module must also have
    /// had its import as function 0. The items must export a memory of at least two pages, which
    /// replaces the guest's own.
    pub fn beginning_with(self, items: &str) -> Self {
        self.memory(items)
    }

    /// Adds items to the module: functions, globals, tables or data.
    pub fn items(mut self, items: &str) -> Self {
        self.items.push_str(items);
        self
    }

    /// Imports an interface, such as `test:host/clock@1.0.0`, with a resource and one function,
    /// `$imported`, which returns the resource. Only a body can call it.
    pub fn import(mut self, interface: &str) -> Self {
        self.imports.push_str(interface);
        self
    }

    /// Builds the component.
    ///
    /// # Panics
    /// Panics if the guest is not valid.
    pub fn build(&self) -> Vec<u8> {
        self.try_build().unwrap_or_else(|error| panic!("{}: {error:#}", self.name))
    }

    /// Builds the component of a guest that may be invalid.
    ///
    /// # Errors
    /// Returns an error if the guest's text is not a module, or if the module does not fit the
    /// contract.
    pub fn try_build(&self) -> anyhow::Result<Vec<u8>> {
        let (resolve, world) = self.world();
        let mut module = wat::parse_str(self.text()).context("its text is not a module")?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .context("the contract cannot be embedded")?;
        let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
        encoder.encode().context("the module lacks what the contract wants")
    }

    /// Builds the core module alone.
    pub fn module(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn world(&self) -> (Resolve, wit_parser::WorldId) {
        let mut resolve = Resolve::default();
        let contract = CONTRACT.replace("codec@0.1.0;", &format!("codec@{};", self.version));
        resolve.push_str("codec.wit", &contract).expect("the contract is well-formed");
        let mut world = "package test:guest; world guest {".to_owned();
        if let Some((package, interface)) = self.imports.split_once('/') {
            let (interface, version) = interface.split_once('@').expect("an interface with its version");
            let host = format!(
                "package {package}@{version}; interface {interface} {{ resource handle; call: func() -> handle; }}"
            );
            resolve.push_str("host.wit", &host).expect("the import is well-formed");
            world.push_str(&format!("import {};", self.imports));
        }
        for interface in self.interfaces() {
            world.push_str(&format!("export wireplug:codec/{interface}@{};", self.version));
        }
        world.push('}');
        let package = resolve.push_str("guest.wit", &world).expect("the world is well-formed");
        let world = resolve.select_world(&[package], Some("guest")).expect("the world was just written");
        (resolve, world)
    }

    fn interfaces(&self) -> Vec<&'static str> {
        let mut interfaces = vec!["codec"];
        interfaces.extend(self.functions.iter().map(|(function, _)| function.interface()));
        interfaces.sort_unstable();
        interfaces.dedup();
        interfaces
    }

    fn text(&self) -> String {
        let (name, version) = (&self.name, &self.version);
        let import = match &*self.imports {
            "" => String::new(),
            interface => format!("(import \"{interface}\" \"call\" (func $imported (result i32)))"),
        };
        let functions: String = Function::ALL
            .into_iter()
            .filter(|function| self.interfaces().contains(&function.interface()))
            .map(|function| self.function(function))
            .collect();
        let start = match &self.start {
            Some(body) => format!("(func $start {body}) (start $start)"),
            None => String::new(),
        };
        let framing = match self.framing {
            // option 1, delimiter 0, one byte at 16.
            Framing::Line => "\\01\\00\\00\\00\\00\\00\\00\\00\\10\\00\\00\\00\\01\\00\\00\\00",
            // option 1, length 1, offset 0, width 4, big-endian, adjust 0.
            Framing::Length => "\\01\\00\\00\\00\\01\\00\\00\\00\\00\\04\\00\\00\\00\\00\\00\\00",
        };
        // Each message has one bare packet, without text or JSON; perhaps a handshake; no
        // coalescing.
        let traits = format!("\\01\\00\\00\\0{}\\00\\00\\00\\00", u8::from(self.handshake));
        let (name_at, version_at, route_at) = (TEXTS, TEXTS + 256, TEXTS + 512);
        let description = format!(
            "{}{}{}{}{framing}{traits}",
            word(name_at),
            word(name.len()),
            word(version_at),
            word(version.len())
        );
        let route_length = GUEST.len();
        let realloc = &self.realloc;
        let (memory, items) = (&self.memory, &self.items);
        format!(
            r#"(module
              (import "[export]wireplug:codec/codec@{version}" "[resource-new]session" (func $new (param i32) (result i32)))
              {import}
              {memory}
              (data (i32.const 16) "\0a")
              (data (i32.const 64) "{description}")
              (data (i32.const {name_at}) "{name}")
              (data (i32.const {version_at}) "{version}")
              (data (i32.const {route_at}) "{GUEST}")
              (global $heap (mut i32) (i32.const {HEAP}))
              (func $realloc (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
                {realloc})
              (func $alloc (param $size i32) (result i32)
                (call $bump (local.get $size)))
              {BUMP}
              (func $reset (param i32) (global.set $heap (i32.const {HEAP})))
              (func $two (param $at i32) (param $a i32) (param $b i32) (result i32)
                (i32.store (local.get $at) (local.get $a))
                (i32.store offset=4 (local.get $at) (local.get $b))
                (local.get $at))
              (func $three (param $at i32) (param $a i32) (param $b i32) (param $c i32) (result i32)
                (i32.store offset=8 (local.get $at) (local.get $c))
                (call $two (local.get $at) (local.get $a) (local.get $b)))
              (func $event (param $at i32) (param $kind i32)
                (memory.fill (local.get $at) (i32.const 0) (i32.const 48))
                (i32.store8 (local.get $at) (local.get $kind)))
              (func $message (param $at i32) (param $body i32) (param $length i32)
                (call $event (local.get $at) (i32.const 2))
                (i32.store offset=8 (local.get $at) (i32.const 1))
                (i64.store offset=16 (local.get $at) (i64.const 1))
                (i32.store offset=24 (local.get $at) (i32.const {route_at}))
                (i32.store offset=28 (local.get $at) (i32.const {route_length}))
                (i32.store offset=32 (local.get $at) (local.get $body))
                (i32.store offset=36 (local.get $at) (local.get $length))
                (i32.store16 offset=40 (local.get $at) (i32.const 200)))
              (func $strikes (param $at i32) (param $length i32) (result i32)
                (if (result i32) (local.get $length)
                  (then (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)))
                  (else (i32.const 0))))
              (func $recurse (param i64) (result i64)
                (i64.add (call $recurse (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
              (func $honest-configure (result i32)
                (call $two (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0)))
              (func $honest-open (result i32)
                (call $two (call $alloc (i32.const 16)) (i32.const 0) (call $new (i32.const 1))))
              (func $honest-decode {decode} (result i32)
                (local $event i32)
                (local.set $event (call $alloc (i32.const 48)))
                (call $message (local.get $event) (local.get $packet) (local.get $length))
                (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1)))
              (func $honest-encode {encode} (result i32)
                (local $at i32)
                (local.set $at (call $alloc (i32.const 16)))
                (drop (call $two (local.get $at) (i32.const 0) (i32.const 1)))
                (drop (call $two (i32.add (local.get $at) (i32.const 8)) (local.get $body) (local.get $body-length)))
                (local.get $at))
              {functions}
              {start}
              {items})"#,
            decode = Function::Decode.parameters(),
            encode = Function::Encode.parameters(),
        )
    }

    /// Returns a function as it is exported, and the function that cleans up after it.
    fn function(&self, function: Function) -> String {
        let own = self.functions.iter().find(|(other, _)| *other == function).map(|(_, body)| &**body);
        let body = own.unwrap_or(function.honest());
        let name = format!("wireplug:codec/{}@{}#{}", function.interface(), self.version, function.name());
        let parameters = function.parameters();
        let exported = format!("(func (export \"{name}\") {parameters} (result i32) {body})\n");
        match function {
            // It needs no cleanup.
            Function::Describe => exported,
            _ => exported + &format!("(export \"cabi_post_{name}\" (func $reset))\n"),
        }
    }
}

/// The allocator: it takes memory from the front of the heap, and frees all of it after each call.
const BUMP: &str = "
    (func $bump (param $size i32) (result i32)
      (local $at i32) (local $end i32)
      (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
      (local.set $end (i32.add (local.get $at) (local.get $size)))
      (global.set $heap (local.get $end))
      (block $enough
        (br_if $enough (i32.le_u (local.get $end) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $enough (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536))))))
        unreachable)
      (local.get $at))";

/// Encodes a little-endian i32 in WebAssembly text.
fn word(value: usize) -> String {
    let value = u32::try_from(value).expect("small");
    value.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
}
