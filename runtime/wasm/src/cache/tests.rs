//! Tests that stored artifacts are found again, and that damaged entries do no harm.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::thread;

use wasmtime::Config;

use super::*;
use crate::tests::POMELO;
use crate::{WasmEngine, WasmLoader};
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::{Codec as _, Instant};

/// A directory for one test, which is removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let random = getrandom::u64().expect("there is randomness");
        Self(std::env::temp_dir().join(format!("wireplug-cache-{random:016x}")))
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.0).expect("the directory is ours")
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).expect("it is there").map(|file| file.unwrap().file_name().into_string());
        let mut names: Vec<_> = names.map(Result::unwrap).collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(number: u8) -> Key {
    Key(format!("{}-{:016x}", Digest::of(&[number]), 7))
}

fn artifact(bytes: &[u8]) -> Artifact {
    Artifact::made_by_us(Bytes::copy_from_slice(bytes))
}

fn found(cache: &Cache, key: &Key) -> Option<Vec<u8>> {
    cache.get(key).map(|artifact| artifact.bytes().to_vec())
}

/// Sets when an entry was last used.
fn used(directory: &Directory, key: &Key, seconds: u64) {
    let file = File::open(directory.0.join(&key.0)).expect("it is there");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn what_was_kept_is_found_by_every_cache_of_the_directory() {
    let directory = Directory::new();
    let cache = directory.cache();
    assert_eq!(found(&cache, &key(1)), None);
    cache.put(&key(1), &artifact(b"one"));
    cache.put(&key(2), &artifact(b""));
    assert_eq!(found(&cache, &key(1)).as_deref(), Some(&b"one"[..]));
    cache.put(&key(1), &artifact(b"another"));
    let other = directory.cache();
    assert_eq!(found(&other, &key(1)).as_deref(), Some(&b"another"[..]));
    assert_eq!(found(&other, &key(2)).as_deref(), Some(&b""[..]));
    assert_eq!(found(&other, &key(3)), None);
    assert_eq!(directory.names().len(), 2);
    for file in fs::read_dir(&directory.0).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&directory.0).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn every_damaged_byte_and_every_cut_is_found() {
    let directory = Directory::new();
    let cache = directory.cache();
    cache.put(&key(1), &artifact(b"code"));
    let path = directory.0.join(&key(1).0);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(found(&cache, &key(1)), None, "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(found(&cache, &key(1)), None, "cut at {at}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert_eq!(found(&cache, &key(1)), None);
    // The next write replaces the damaged entry.
    cache.put(&key(1), &artifact(b"code"));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn an_entry_under_another_name_or_of_another_kind_is_none() {
    let directory = Directory::new();
    let cache = directory.cache();
    cache.put(&key(1), &artifact(b"code"));
    fs::rename(directory.0.join(&key(1).0), directory.0.join(&key(2).0)).unwrap();
    assert_eq!(found(&cache, &key(2)), None);
    cache.put(&key(1), &artifact(b"code"));
    symlink(directory.0.join(&key(1).0), directory.0.join(&key(3).0)).unwrap();
    assert_eq!(found(&cache, &key(3)), None);
    fs::create_dir(directory.0.join(&key(4).0)).unwrap();
    assert_eq!(found(&cache, &key(4)), None);
}

#[test]
fn a_directory_that_is_not_the_users_alone_is_refused() {
    let refused = |path: &Path| Cache::open(path).expect_err("it is not ours alone").to_string();
    let directory = Directory::new();
    drop(directory.cache());
    for mode in [0o701, 0o710, 0o704, 0o740, 0o720, 0o777] {
        fs::set_permissions(&directory.0, Permissions::from_mode(mode)).unwrap();
        let error = refused(&directory.0);
        assert!(error.contains("is open to other users") && error.contains("chmod 700"), "{mode:o}: {error}");
    }
    fs::set_permissions(&directory.0, Permissions::from_mode(0o700)).unwrap();
    drop(directory.cache());

    let link = Directory::new();
    symlink(&directory.0, &link.0).unwrap();
    assert!(refused(&link.0).contains("is a symbolic link"));
    fs::remove_file(&link.0).unwrap();
    fs::write(&link.0, "").unwrap();
    assert!(refused(&link.0).contains("cannot make the compile cache"));
    fs::remove_file(&link.0).unwrap();

    // Only root can change the owner of a directory. For every other user, the root directory
    // belongs to another user.
    let given = chown(&directory.0, Some(1), None).is_ok();
    let others = if given { &*directory.0 } else { Path::new("/") };
    assert!(refused(others).contains("belongs to the user"));
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let directory = Directory::new();
    let cache = Cache::with_limits(&directory.0, 3, MAX_BYTES).unwrap();
    for number in 1..=3 {
        cache.put(&key(number), &artifact(b"code"));
        used(&directory, &key(number), number.into());
    }
    // Entry 1 is the oldest, but was just used.
    assert!(found(&cache, &key(1)).is_some());
    cache.put(&key(4), &artifact(b"code"));
    let kept: Vec<_> = (1..=4).filter(|&number| found(&cache, &key(number)).is_some()).collect();
    assert_eq!(kept, [1, 3, 4]);
}

/// A codec that nobody has changed for months is needed when its registry is away.
#[test]
fn the_last_good_component_of_a_name_stays() {
    let directory = Directory::new();
    let cache = Cache::with_limits(&directory.0, 4, MAX_BYTES).unwrap();
    cache.set_last_good("chat", b"before");
    cache.set_last_good("chat", b"component");
    for number in 0..9 {
        cache.put(&key(number), &artifact(b"code"));
        used(&directory, &Key::of_last_good("chat"), 1);
        used(&directory, &Key::of_component(&Digest::of(b"component").to_string()), 1);
    }
    assert_eq!(directory.names().len(), 4);
    assert_eq!(cache.last_good("chat").as_deref(), Some(&b"component"[..]));
    // What it replaced is an entry like any other.
    cache.restore_last_good("chat", Digest::of(b"before"));
    assert_eq!(cache.last_good("chat").as_deref(), Some(&b"component"[..]));
}

#[test]
fn entries_have_so_many_bytes_together() {
    let directory = Directory::new();
    let entry = (CHECKSUM + key(0).0.len() + 1000) as u64;
    let cache = Cache::with_limits(&directory.0, 100, 2 * entry).unwrap();
    for number in 1..=3 {
        cache.put(&key(number), &artifact(&[0; 1000]));
        used(&directory, &key(number), number.into());
    }
    let kept: Vec<_> = (1..=3).filter(|&number| found(&cache, &key(number)).is_some()).collect();
    assert_eq!(kept, [2, 3]);
    // An artifact that is too large to be stored removes no other entry.
    cache.put(&key(4), &artifact(&[0; 3000]));
    assert_eq!(directory.names().len(), 2);
}

#[test]
fn only_what_is_the_caches_own_is_removed() {
    let directory = Directory::new();
    let cache = Cache::with_limits(&directory.0, 1, MAX_BYTES).unwrap();
    let old = |name: &str| {
        let file = File::create(directory.0.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    };
    old("notes.txt");
    old("0123.unfinished");
    File::create(directory.0.join("4567.unfinished")).unwrap();
    cache.put(&key(1), &artifact(b"code"));
    cache.put(&key(2), &artifact(b"code"));
    let mut expected = ["4567.unfinished", &key(2).0, "notes.txt"];
    expected.sort_unstable();
    assert_eq!(directory.names(), expected);
}

#[test]
fn many_may_write_at_once() {
    let directory = Directory::new();
    thread::scope(|scope| {
        for byte in 0..8 {
            let cache = directory.cache();
            scope.spawn(move || {
                for _ in 0..50 {
                    cache.put(&key(1), &artifact(&[byte; 10_000]));
                    let code = found(&cache, &key(1)).expect("it is there, and it is whole");
                    assert!(code.len() == 10_000 && code.iter().all(|byte| *byte == code[0]));
                }
            });
        }
    });
    assert_eq!(directory.names(), [key(1).0]);
}

// === with an engine ===

fn engine(cache: Cache) -> WasmEngine {
    WasmEngine::new(2, CodecLimits::default().memory).expect("room for few sandboxes").with_cache(cache)
}

/// Loads Pomelo and opens a session of it.
fn load(engine: &WasmEngine) {
    let codec =
        WasmLoader::new(engine, CodecLimits::default()).load(POMELO, "{}".into()).expect("it is good");
    assert_eq!(codec.description().name, "pomelo");
    codec.open(wireplug_tests::peer(), Instant::for_test(0)).expect("a session");
}

/// Returns the entries, each with the inode of its file.
fn entries(directory: &Directory) -> Vec<(String, u64)> {
    let inode = |name: &String| fs::metadata(directory.0.join(name)).unwrap().ino();
    directory.names().into_iter().map(|name| (name.clone(), inode(&name))).collect()
}

#[test]
fn a_codec_from_the_cache_works_and_is_not_compiled_again() {
    let directory = Directory::new();
    load(&engine(directory.cache()));
    let kept = entries(&directory);
    assert_eq!(kept.len(), 2, "the component as it came, and with its options set");
    // A new engine, as after a restart. An entry that is written again would have another inode.
    load(&engine(directory.cache()));
    assert_eq!(entries(&directory), kept);
}

#[test]
fn an_entry_of_another_compiler_is_replaced() {
    let directory = Directory::new();
    let engine = engine(directory.cache());
    let other = Engine::new(Config::new().consume_fuel(true)).unwrap();
    let key = Key::new(POMELO, &engine.standard);
    assert_ne!(key.0, Key::new(POMELO, &other).0);
    for wrong in [Artifact::compile(&other, POMELO).unwrap(), artifact(b"no code at all")] {
        directory.cache().put(&key, &wrong);
        load(&engine);
        let kept = fs::read(directory.0.join(&key.0)).unwrap();
        assert_ne!(kept.len(), CHECKSUM + key.0.len() + wrong.bytes().len());
        assert!(directory.cache().get(&key).expect("it is whole").load(&engine.standard).is_ok());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_no_hindrance() {
    let directory = Directory::new();
    let cache = directory.cache();
    fs::remove_dir(&directory.0).unwrap();
    load(&engine(cache.clone()));
    assert!(cache.0.warned.load(Ordering::Relaxed));
    load(&engine(cache));
}

#[test]
fn code_that_somebody_else_has_compiled_is_refused() {
    let engine = WasmEngine::new(2, CodecLimits::default().memory).unwrap();
    let compiled = engine.standard.precompile_component(POMELO).unwrap();
    let error = WasmLoader::new(&engine, CodecLimits::default()).load(&compiled, "{}".into()).err().unwrap();
    assert!(error.to_string().starts_with("it is compiled already"), "{error}");
}
