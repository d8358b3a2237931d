//! Each limit of a worker, and the advice in its error.

use std::time::{Duration, Instant};

use wireplug::config::CompileConfig;
use wireplug_tests::hostile::heavy::{importing, slowed};
use wireplug_tests::versions::POMELO;
use wireplug_wasm::CompileError;

use super::{SLOW, SOON, load, refusal, worker};

#[test]
fn what_is_good_compiles_and_works() {
    load(worker(), &CompileConfig::default(), POMELO).expect("it is a good codec");
}

#[test]
fn what_is_not_valid_is_refused_with_the_compilers_reason() {
    // The component is well-formed, but no function may have this name.
    let wasm = importing(&["C_D".to_owned()]);
    let limits = CompileConfig::default();
    let error = refusal(worker(), &limits, &wasm);
    assert!(matches!(error, CompileError::Refused(_)), "{error:?}");
    // Compiling in the process gives the same error.
    let in_process = refusal(super::Compiler::in_process(), &limits, &wasm);
    assert_eq!(error.to_string(), in_process.to_string());
    assert!(error.to_string().starts_with("it does not compile: "), "{error}");
}

#[test]
fn memory() {
    let limits = CompileConfig { memory: 288 << 20, ..CompileConfig::default() };
    let error = refusal(worker(), &limits, &slowed(POMELO, SLOW));
    assert!(matches!(error, CompileError::Memory(_)), "{error:?}");
    let text = "it does not compile within 288MiB of memory: `memory` under [compile] allows more";
    assert_eq!(error.to_string(), text);
}

#[test]
fn memory_that_does_not_even_do_for_the_worker() {
    let limits = CompileConfig { memory: 1, ..CompileConfig::default() };
    let error = refusal(worker(), &limits, POMELO);
    assert!(matches!(error, CompileError::Memory(_)), "{error:?}");
}

#[test]
fn cpu_time() {
    let limits = CompileConfig { cpu_time: Duration::from_millis(500), ..CompileConfig::default() };
    let error = refusal(worker(), &limits, &slowed(POMELO, SLOW));
    assert!(matches!(error, CompileError::CpuTime(_)), "{error:?}");
    assert!(error.to_string().contains("`cpu-time` under [compile] allows more"), "{error}");
}

#[test]
fn wall_time() {
    let begun = Instant::now();
    let limits = CompileConfig { wall_time: Duration::from_millis(300), ..CompileConfig::default() };
    let error = refusal(worker(), &limits, &slowed(POMELO, SLOW));
    assert!(matches!(error, CompileError::WallTime(_)), "{error:?}");
    assert!(error.to_string().contains("`wall-time` under [compile] allows more"), "{error}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn the_size_of_what_comes_of_it() {
    let limits = CompileConfig { max_artifact: 4096, ..CompileConfig::default() };
    let error = refusal(worker(), &limits, POMELO);
    assert!(matches!(error, CompileError::Artifact(4096)), "{error:?}");
    assert!(error.to_string().contains("`max-artifact` under [compile] allows more"), "{error}");
}
