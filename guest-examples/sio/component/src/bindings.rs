//! What wit-bindgen makes of the contract, and the exports: those that a format without handshake and clock has.
#![allow(missing_docs, unreachable_pub)]

use crate::Component;

wit_bindgen::generate!({
    inline: "
        package wireplug:sio;

        world sio {
            export wireplug:codec/codec@0.1.0;
            export wireplug:codec/batch@0.1.0;
            export wireplug:codec/farewell@0.1.0;
            export wireplug:codec/broadcast@0.1.0;
            export wireplug:codec/handoff@0.1.0;
        }
    ",
    path: "../../../wit",
    world: "wireplug:sio/sio",
    generate_all,
});

export!(Component);
