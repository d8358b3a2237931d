//! What wit-bindgen makes of the contract, and the exports: what is needed to compare.
#![allow(missing_docs, unreachable_pub)]

use crate::Component;

wit_bindgen::generate!({
    inline: "
        package wireplug:nothing;

        world nothing {
            export wireplug:codec/codec@0.1.0;
            export wireplug:codec/batch@0.1.0;
        }
    ",
    path: "../../../wit",
    world: "wireplug:nothing/nothing",
    generate_all,
});

export!(Component);
