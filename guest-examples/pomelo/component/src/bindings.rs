//! What wit-bindgen makes of the contract, and the exports.
#![allow(missing_docs, unreachable_pub)]

use crate::Component;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "full-codec",
});

export!(Component);
