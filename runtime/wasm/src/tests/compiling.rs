//! Tests that an observer gets a report of each compilation, and of nothing else.

use std::sync::{Arc, Mutex};

use super::NOTHING;
use super::{engine, loader};
use crate::{Cache, CompileObserver, Compiling};

/// Loads a component and returns the reports. Each component that is compiled is reported twice.
fn reported(cache: &Cache) -> Vec<Compiling> {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reported);
    let observer = CompileObserver::new(move |news| heard.lock().unwrap().push(news));
    let engine = engine().with_cache(cache.clone()).observed(observer);
    loader(&engine).load(NOTHING, "{}".into()).expect("it is good");
    let reported = reported.lock().unwrap();
    reported.clone()
}

#[test]
fn the_first_load_and_not_the_second() {
    let random = getrandom::u64().expect("there is randomness");
    let directory = std::env::temp_dir().join(format!("wireplug-compiling-{random:016x}"));
    let cache = Cache::open(&directory).expect("it is ours");
    let (first, second) = (reported(&cache), reported(&cache));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(first.first(), Some(&Compiling::Begun { size: NOTHING.len(), kept: true }));
    for pair in first.chunks(2) {
        assert!(matches!(pair, [Compiling::Begun { .. }, Compiling::Ended { .. }]), "{first:?}");
    }
    assert_eq!(second, []);
}

#[test]
fn one_that_is_refused_has_an_end_too() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reported);
    let engine = engine().observed(CompileObserver::new(move |news| heard.lock().unwrap().push(news)));
    // The component is well-formed, so it passes the measurement, but no interface has this name.
    let invalid = wireplug_tests::hostile::heavy::importing(&["C_D".to_owned()]);
    let size = invalid.len();
    loader(&engine).load(&invalid, "{}".into()).err().expect("it is not valid");
    let reported = reported.lock().unwrap();
    assert!(
        matches!(reported[..], [Compiling::Begun { size: begun, kept: false }, Compiling::Ended { .. }] if begun == size),
        "{reported:?}"
    );
}
