//! A component that does not fit the pool lives outside of it.

use super::{engine, loader, with_parts};
use crate::codec::wasm::{Cache, POMELO, WasmEngine};
use crate::codec::{Codec, CodecError, CodecSession, Peer, Vectors};

const VECTORS: &str = include_str!("../../../../codecs/pomelo.vectors");

fn open(codec: &dyn Codec) -> Result<Box<dyn CodecSession>, CodecError> {
    codec.open(peer())
}

fn peer() -> Peer {
    Peer { transport: "tcp".into(), address: String::new(), entropy: [0; 32], attributes: Vec::new() }
}

#[test]
fn it_works_as_in_the_pool() {
    let vectors = Vectors::parse(VECTORS).expect("they are good");
    // More core instances and memories than a place of the pool has.
    for wasm in [with_parts(POMELO, 2), with_parts(POMELO, 10)] {
        let codec = loader(&engine()).load(&wasm, vectors.options().into()).expect("there is room outside");
        assert!(codec.bare.blueprint.places.is_some());
        assert_eq!(vectors.replay(&codec).next(), None);
    }
    let codec = loader(&engine()).load(POMELO, "{}".into()).expect("there is room in the pool");
    assert!(codec.bare.blueprint.places.is_none());
}

#[test]
fn it_takes_no_place_in_the_pool_and_one_of_those_outside() {
    let engine = WasmEngine::new(1, 16 << 20).expect("room for few sandboxes").on_demand(2);
    let codec = loader(&engine).load(&with_parts(POMELO, 2), "{}".into()).expect("there is room outside");
    let pooled = loader(&engine).load(POMELO, "{}".into()).expect("there is room in the pool");
    let (mut one, other) = (open(&codec).expect("a place"), open(&codec).expect("another"));
    let error = open(&codec).err().expect("there are two");
    assert!(error.to_string().contains("all 2 places for sandboxes that do not fit the pool"), "{error}");
    assert_eq!(error.cause(), "exhausted");
    let state = one.save().expect("it can be handed over");
    drop(codec.restore(peer(), &state, 0).expect("who goes on elsewhere has two for a moment"));
    let session = open(&pooled).expect("the pool has its own");
    drop((one, session));
    drop(open(&codec).expect("a place was given back"));
    drop(other);
}

#[test]
fn its_memories_are_charged_together() {
    let codec = loader(&engine()).load(&with_parts(POMELO, 0), "{}".into()).expect("it is Pomelo");
    let session = open(&codec).expect("a session");
    let alone = codec.memory();
    drop(session);
    let codec = loader(&engine()).load(&with_parts(POMELO, 3), "{}".into()).expect("there is room outside");
    let session = open(&codec).expect("a session");
    assert_eq!(codec.memory(), alone + 3 * (64 << 10));
    drop(session);
    assert_eq!(codec.memory(), 0);
}

#[test]
fn there_are_limits_outside_too() {
    let error =
        loader(&engine()).load(&with_parts(POMELO, 20), "{}".into()).err().expect("too many memories");
    assert!(format!("{error:#}").contains("memory count too high at 17"), "{error:#}");
}

#[test]
fn it_is_kept_in_the_cache_as_any_other() {
    let random = getrandom::u64().expect("there is randomness");
    let directory = std::env::temp_dir().join(format!("wireplug-outside-{random:016x}"));
    let wasm = with_parts(POMELO, 2);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let engine = engine().with_cache(Cache::open(&directory).expect("it is ours"));
        loader(&engine).load(&wasm, "{}".into()).expect("there is room outside");
        let files = std::fs::read_dir(&directory)
            .unwrap()
            .map(|file| std::os::unix::fs::DirEntryExt::ino(&file.unwrap()));
        kept.push(files.collect::<Vec<_>>());
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(kept[0].len() == 1 && kept[0] == kept[1], "{kept:?}");
}
