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
//! | `open` | the peer, the time | `result<session, string>` |
//! | `decode` | `$self $packet $length`, the time | `result<list<event>, fault>` |
//! | `encode` | `$self`, the message, the time | `result<list<list<u8>>, fault>` |
//! | `decode-batch` | `$self $bytes $bytes-length $ends $count`, the time | `events` |
//! | `encode-batch` | `$self $bytes $bytes-length $heads $count`, the time | `result<encoded, string>` |
//! | `answer` | `$self $status $body $length`, the time | `list<event>` |
//! | `tick` | `$self`, the time | `list<event>` |
//! | `farewell` | `$self $cause $reason $length`, the time | `list<event>` |
//! | `broadcast-class` | `$self` | `option<u32>` |
//! | `encode-shared` | `$class`, the message | `result<list<list<u8>>, string>` |
//! | `save` | `$self` | `result<list<u8>, string>` |
//! | `restore` | the peer, `$state $length`, the time | `result<session, string>` |
//!
//! | argument | parameters |
//! |---|---|
//! | the time | `$session-ms $unix-ms` |
//! | the message | `$role $id $route $route-length $body $body-length $status` |
//! | the peer | `$carrier $transport $transport-length $address $address-length $dialed $max-packet $seed $seed-length $attributes $attribute-count` |
//!
//! `$session-ms`, `$unix-ms` and `$id` are i64. All other parameters and all results are i32. A
//! body may call:
//!
//! | call | what it does |
//! |---|---|
//! | `$alloc bytes` | the address of fresh memory, aligned to 8; given back when the call is over |
//! | `$two at a b` | writes two i32, and returns `at` |
//! | `$three at a b c` | writes three i32, and returns `at` |
//! | `$event at kind` | makes an event there, of zeros except for its kind; one has 48 bytes |
//! | `$message at body length` | makes a request with id 1 on the usual route there |
//! | `$head kind` | the address of a fresh `event-head`, of zeros except for its kind and the status 200; heads made one after the other are a list |
//! | `$events bytes length heads count` | the address of fresh `events` |
//! | `$honest-decode packet length` | the honest answer of `decode` |
//! | `$honest-encode body length` | the honest answer of `encode` and `encode-shared` |
//! | `$honest-open`, `$honest-configure` | the honest answers, without parameters |
//!
//! Addresses 4096 to 8191 are free for [`Guest::items`], for example for data.
//!
//! | kind | event and `event-head` | what an event has, with its offset |
//! |---|---|---|
//! | 0 | `hello` | body 8, its length 12 |
//! | 1 | `established` | |
//! | 2 | `message` | role 8 (u8), id 16 (u64), route 24, its length 28, body 32, its length 36, status 40 (u16) |
//! | 3 | `reply` | packet 8, its length 12 |
//! | 4 | `timer` | milliseconds 8 |
//! | 5 | `address-verified` | |
//! | 6 | `log` | level 8 (u8), text 12, its length 16 |
//! | 7 | `close` | code 8 (u16), reason 12, its length 16 |
//! | 8, 9 | `rejected`, `fatal`: only an `event-head` | |
//!
//! An `event-head` has its kind at offset 0 (u8), packet at 4, role at 8 (u8), id at 16 (u64),
//! status at 24 (u16), route end at 28, body end at 32. One has 40 bytes.
//!
//! [`rules`] has guests that each break one rule of the contract.
//! [`components`] has attacks by whole components that have too much of something.

pub mod bodies;
pub mod components;
mod description;
mod function;
pub mod heavy;
pub mod modules;
pub mod rules;

use anyhow::Context as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use self::description::Description;
pub use self::description::{Framing, MessageFraming, Payload};
pub use self::function::Function;
use crate::app::GUEST;

/// The contract.
const CONTRACT: &str = include_str!("../../wit/codec.wit");

/// The version of the contract.
pub const VERSION: &str = "0.2.0";

/// The address of the byte that ends a packet.
const LINE_END: usize = 16;

/// The address of the description.
const DESCRIPTION: usize = 64;

/// The address of the texts of the description. Below it is the address of the empty list.
const TEXTS: usize = 1024;

/// The address at which the heap begins.
const HEAP: usize = 8192;

/// A guest that can be built as a component.
#[derive(Clone, Debug)]
pub struct Guest {
    name: String,
    version: String,
    description: Description,
    functions: Vec<(Function, String)>,
    start: Option<String>,
    realloc: String,
    memory: String,
    items: String,
    imports: String,
}

impl Guest {
    /// Makes an honest guest with this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: VERSION.to_owned(),
            description: Description::default(),
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
        self.description.framing = framing;
        self
    }

    /// Sets what a message or datagram holds.
    pub fn messages(mut self, messages: MessageFraming) -> Self {
        self.description.messages = messages;
        self
    }

    /// Sets whether packets are text.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.description.payload = payload;
        self
    }

    /// Declares a handshake. The honest guest never ends it.
    pub fn handshake(mut self) -> Self {
        self.description.handshake = true;
        self
    }

    /// Declares that the application may send requests to the client.
    pub fn client_requests(mut self) -> Self {
        self.description.client_requests = 8;
        self
    }

    /// Sets the largest packet, in bytes.
    pub fn max_packet(mut self, bytes: u32) -> Self {
        self.description.max_packet = Some(bytes);
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
        self.striking(Function::Decode, "(local.get $packet) (local.get $length)", body)
    }

    /// Makes `encode` run this body at messages whose bodies begin with `!`. Other messages are
    /// encoded honestly.
    pub fn strike_back(self, body: &str) -> Self {
        self.striking(Function::Encode, "(local.get $body) (local.get $body-length)", body)
    }

    fn striking(self, function: Function, bytes: &str, body: &str) -> Self {
        let (name, parameters, arguments) = (function.name(), function.parameters(), function.arguments());
        let body = format!(
            "(if (call $strikes {bytes}) (then (return (call $\"strike {name}\" {arguments}))))
             {honest})
             (func $\"strike {name}\" {parameters} (result i32)
             {body}",
            honest = function.honest()
        );
        self.with(function, &body)
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
        let contract = CONTRACT.replace(&format!("codec@{VERSION};"), &format!("codec@{};", self.version));
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
        let (name_at, version_at, route_at) = (TEXTS, TEXTS + 256, TEXTS + 512);
        let description = self.description.data((name_at, name.len()), (version_at, version.len()), LINE_END);
        let route_length = GUEST.len();
        let realloc = &self.realloc;
        let (memory, items) = (&self.memory, &self.items);
        format!(
            r#"(module
              (import "[export]wireplug:codec/codec@{version}" "[resource-new]session" (func $new (param i32) (result i32)))
              {import}
              {memory}
              (data (i32.const {LINE_END}) "\0a")
              (data (i32.const {DESCRIPTION}) "{description}")
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
                (i32.store8 offset=8 (local.get $at) (i32.const 1))
                (i64.store offset=16 (local.get $at) (i64.const 1))
                (i32.store offset=24 (local.get $at) (i32.const {route_at}))
                (i32.store offset=28 (local.get $at) (i32.const {route_length}))
                (i32.store offset=32 (local.get $at) (local.get $body))
                (i32.store offset=36 (local.get $at) (local.get $length))
                (i32.store16 offset=40 (local.get $at) (i32.const 200)))
              (func $head (param $kind i32) (result i32)
                (local $at i32)
                (local.set $at (call $alloc (i32.const 40)))
                (memory.fill (local.get $at) (i32.const 0) (i32.const 40))
                (i32.store8 (local.get $at) (local.get $kind))
                (i32.store16 offset=24 (local.get $at) (i32.const 200))
                (local.get $at))
              (func $events (param $bytes i32) (param $length i32) (param $heads i32) (param $count i32) (result i32)
                (local $at i32)
                (local.set $at (call $alloc (i32.const 16)))
                (drop (call $two (i32.add (local.get $at) (i32.const 8)) (local.get $heads) (local.get $count)))
                (call $two (local.get $at) (local.get $bytes) (local.get $length)))
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
              (func $honest-decode (param $packet i32) (param $length i32) (result i32)
                (local $event i32)
                (local.set $event (call $alloc (i32.const 48)))
                (call $message (local.get $event) (local.get $packet) (local.get $length))
                (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1)))
              (func $honest-encode (param $body i32) (param $length i32) (result i32)
                (call $three (call $alloc (i32.const 16)) (i32.const 0)
                  (call $two (call $alloc (i32.const 8)) (local.get $body) (local.get $length)) (i32.const 1)))
              {functions}
              {start}
              {items})"#
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

/// Writes bytes as a string of WebAssembly text.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
