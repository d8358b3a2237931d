//! Tests that a component that does not fit the standard pool uses the large one.

use wireplug_tests::hostile::components::with_parts;

use super::{POMELO, engine, loader};
use crate::config::ComponentBounds;
use crate::{Cache, EngineSizes, WasmEngine};
use wireplug_core::codec::{Codec, CodecError, CodecSession, Instant};
use wireplug_tests::peer;

fn open(codec: &dyn Codec) -> Result<Box<dyn CodecSession>, CodecError> {
    codec.open(peer(), Instant::for_test(0))
}

#[test]
fn it_takes_a_place_of_the_large_pool_only() {
    let engine = WasmEngine::with_sizes(EngineSizes::new(1, 16 << 20).large_sandboxes(2));
    let engine = engine.expect("room for few sandboxes");
    let codec =
        loader(&engine).load(&with_parts(POMELO, 2), "{}".into()).expect("there is room in the large pool");
    let pooled = loader(&engine).load(POMELO, "{}".into()).expect("there is room in the standard pool");
    let (mut one, other) = (open(&codec).expect("a place"), open(&codec).expect("another"));
    let error = open(&codec).err().expect("there are two");
    assert!(error.to_string().contains("2 of the 2 places for sandboxes of the large pool"), "{error}");
    assert_eq!(error.cause(), "exhausted");
    let state = one.save().expect("it can be handed over");
    drop(
        codec
            .restore(peer(), &state, Instant::for_test(0))
            .expect("who goes on elsewhere has two for a moment"),
    );
    let session = open(&pooled).expect("the standard pool has its own");
    drop((one, session));
    drop(open(&codec).expect("a place was given back"));
    drop(other);
}

#[test]
fn one_codec_cannot_take_the_last_places_of_another() {
    let engine = WasmEngine::with_sizes(EngineSizes::new(1, 16 << 20).large_sandboxes(8));
    let engine = engine.expect("room for few sandboxes");
    let large = || loader(&engine).load(&with_parts(POMELO, 2), "{}".into()).expect("there is room");
    let (greedy, other) = (large(), large());
    let taken: Vec<_> = std::iter::from_fn(|| open(&greedy).ok()).collect();
    assert_eq!(taken.len(), 6);
    let its_share: Vec<_> = std::iter::from_fn(|| open(&other).ok()).collect();
    assert_eq!(its_share.len(), 2);
    drop(taken);
    // Versions of one codec share its places: the second gets the places that the first has left.
    let loader = loader(&engine);
    let versions = [(); 2].map(|()| loader.load(&with_parts(POMELO, 2), "{}".into()).expect("there is room"));
    let first = open(&versions[0]).expect("a place");
    let rest: Vec<_> = std::iter::from_fn(|| open(&versions[1]).ok()).collect();
    assert_eq!(rest.len(), 4);
    drop(first);
}

#[test]
fn its_memories_and_instances_are_charged_together() {
    let memory = |parts| {
        let codec = loader(&engine()).load(&with_parts(POMELO, parts), "{}".into()).expect("there is room");
        let session = open(&codec).expect("a session");
        let (memory, instances) = (codec.memory(), codec.instance_memory());
        drop(session);
        assert_eq!(codec.memory(), 0);
        (memory - instances, instances)
    };
    let (one, three) = (memory(1), memory(3));
    assert_eq!(three.0, one.0 + 2 * (64 << 10));
    assert!(three.1 > one.1 + 2 * 1024, "{one:?} {three:?}");
}

#[test]
fn what_fits_neither_pool_is_refused() {
    let error =
        loader(&engine()).load(&with_parts(POMELO, 10), "{}".into()).err().expect("too many memories");
    let text =
        "no pool has room for a sandbox of it: The component transitively contains 11 Wasm linear memories";
    assert!(error.to_string().starts_with(text), "{error}");
    let error = loader(&engine().bounds(ComponentBounds { memories: 200, ..ComponentBounds::default() }))
        .load(&with_parts(POMELO, 60), "{}".into());
    assert!(error.is_err_and(|error| error.to_string().starts_with("no pool has room")));
}

#[test]
fn code_is_charged_for_each_version_that_is_loaded() {
    let loader = loader(&engine());
    let one = loader.load(POMELO, "{}".into()).expect("a good codec");
    let code = one.code();
    // The machine code is at least as large as the component from which it was compiled, and the
    // component with its options set has code of its own.
    assert!(code > 2 * POMELO.len(), "{code}");
    let other = loader.load(POMELO, "{}".into()).expect("a good codec");
    assert_eq!(one.code(), 2 * code);
    drop(one);
    assert_eq!((other.code(), other.memory()), (code, 0));
    drop(other);

    let limits = wireplug_core::codec::CodecLimits { total_memory: code / 2, ..Default::default() };
    let error = crate::WasmLoader::new(&engine(), limits).load(POMELO, "{}".into());
    let error = error.err().expect("its code is too large");
    let error = wireplug_base::Chain::of(&error).to_string();
    assert!(error.contains("its compiled code takes") || error.contains("together"), "{error}");
}

#[test]
fn it_is_kept_in_the_cache_as_any_other() {
    let random = getrandom::u64().expect("there is randomness");
    let directory = std::env::temp_dir().join(format!("wireplug-outside-{random:016x}"));
    let wasm = with_parts(POMELO, 2);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let engine = engine().with_cache(Cache::open(&directory).expect("it is ours"));
        loader(&engine).load(&wasm, "{}".into()).expect("there is room in the large pool");
        let files = std::fs::read_dir(&directory)
            .unwrap()
            .map(|file| std::os::unix::fs::DirEntryExt::ino(&file.unwrap()));
        kept.push(files.collect::<Vec<_>>());
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(kept[0].len() == 1 && kept[0] == kept[1], "{kept:?}");
}
