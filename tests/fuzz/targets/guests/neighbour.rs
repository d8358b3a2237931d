//! An honest codec in the same engines as the generated components, with one session that lives as
//! long as the process.

use std::cell::RefCell;
use std::sync::Arc;

use wireplug::config::CodecLimits;
use wireplug_core::codec::{Carrier, Codec, CodecSession, Event, Events, Instant, Peer, Role};
use wireplug_core::framing::Packets;
use wireplug_tests::hostile::Guest;
use wireplug_wasm::{WasmCodec, WasmLoader};

use super::{ENGINE, LIMITS, LOADER};

thread_local! {
    static NEIGHBOUR: RefCell<Neighbour> = RefCell::new(Neighbour::new());
}

pub struct Neighbour {
    session: Box<dyn CodecSession>,
    /// Loaded by the loader of generated components, so that it shows the account of that loader.
    account: WasmCodec,
    number: u64,
}

impl Neighbour {
    fn new() -> Self {
        let wasm = Guest::new("neighbour").build();
        // The limits are the ordinary ones, because a busy machine must not end this session.
        let limits = CodecLimits { memory: LIMITS.memory, ..CodecLimits::default() };
        let codec = WasmLoader::new(&ENGINE, limits).load(&wasm, "{}".into()).expect("an honest codec");
        let session = codec.open(peer(), Instant::for_test(0)).expect("every client is welcome");
        let account = LOADER.load(&wasm, "{}".into()).expect("an honest codec");
        Self { session, account, number: 0 }
    }

    /// Asserts that the neighbour answers correctly, and that nothing is charged for components
    /// that are gone.
    pub fn goes_on() {
        NEIGHBOUR.with_borrow_mut(|neighbour| {
            neighbour.number += 1;
            let said = neighbour.number.to_string();
            let mut packets = Packets::new();
            packets.push(said.as_bytes());
            let mut events = Events::new();
            neighbour
                .session
                .decode(&Arc::new(packets), Instant::for_test(neighbour.number), &mut events)
                .expect("an honest codec does not fail");
            let mut reader = events.read(1);
            match reader.next_event() {
                Some(Ok(Event::Message { role: Role::Request, id: 1, body, .. })) => {
                    assert_eq!(body, said.as_bytes());
                }
                other => panic!("the neighbour answered {other:?}"),
            }
            assert_eq!(neighbour.account.memory(), 0, "bytes are charged to sandboxes that are gone");
        });
    }
}

pub fn peer() -> Peer {
    Peer {
        carrier: Carrier::Bytes,
        transport: "tcp".into(),
        address: "127.0.0.1:1".into(),
        dialed: false,
        max_packet: LIMITS.max_packet as u32,
        random_seed: [7; 32],
        attributes: vec![],
    }
}
