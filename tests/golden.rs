//! The formats of what one process of an upgrade writes and the other one reads, in files that a
//! test compares with the code.
//!
//! The unit tests of several crates include this file, because they may not depend on the crate of
//! the tests.

use std::fs;

use serde::Deserialize;
use serde_reflection::{Samples, Tracer, TracerConfig};

/// How often a type is looked at. Each look finds one more variant of the enums in it.
const LOOKS: usize = 64;

/// The formats of some types, and of all that they hold.
pub(crate) struct Formats {
    tracer: Tracer,
    enums: &'static [&'static str],
}

impl Formats {
    /// `enums` are the names of the enums in all these types.
    pub(crate) fn new(enums: &'static [&'static str]) -> Self {
        // Not every text is a name.
        let config = TracerConfig::default().default_string_value("name".to_owned());
        Self { tracer: Tracer::new(config), enums }
    }

    pub(crate) fn add<T: for<'de> Deserialize<'de>>(&mut self) {
        for _ in 0..LOOKS {
            for name in self.enums {
                // Looks for another variant of it.
                self.tracer.check_incomplete_enum(name);
            }
            self.tracer.trace_type_once::<T>(&Samples::new()).expect("it can be described");
        }
    }

    /// Checks that a file has these formats, under this version of the protocol. With
    /// `WIREPLUG_UPDATE` set, writes the file, unless the version is still the one of another
    /// format.
    pub(crate) fn check(self, file: &str, version: u32) {
        let formats = self.tracer.registry().expect("all enums are named");
        let wanted = format!("version {version}\n\n{formats:#?}\n");
        let found = fs::read_to_string(file).unwrap_or_default();
        if found == wanted {
            return;
        }
        assert!(
            !found.starts_with(&format!("version {version}\n")),
            "what the two processes of an upgrade say to each other has another format than in {file}: raise \
             HANDOVER_PROTOCOL in runtime/connectors/src/handover.rs, so that processes with the two formats refuse \
             each other"
        );
        assert!(
            std::env::var_os("WIREPLUG_UPDATE").is_some(),
            "{file} has another version: run this test with WIREPLUG_UPDATE=1"
        );
        fs::write(file, wanted).expect("the file can be written");
    }
}
