//! Any text as a configuration file: parsing does not panic, and errors have a text.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use wireplug::Config;

fuzz_target!(|text: &str| {
    if let Err(errors) = Config::parse(text, Path::new("fuzz.toml")) {
        assert!(!errors.to_string().is_empty());
    }
});
