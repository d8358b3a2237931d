//! The bindings that wit-bindgen generates: only the interfaces that the benchmark needs.
#![allow(missing_docs, unreachable_pub)]

use crate::Component;

wit_bindgen::generate!({
    inline: "
        package wireplug:nothing;

        world nothing {
            export wireplug:codec/codec@0.2.0;
            export wireplug:codec/batch@0.2.0;
        }
    ",
    path: "../../../wit",
    world: "wireplug:nothing/nothing",
    generate_all,
});

export!(Component);
