//! The Pomelo codec without a sandbox answers as its vectors say.

use wireplug_core::vectors::Vectors;

use crate::codec::NativePomelo;

const POMELO: &str = include_str!("../../../codecs/pomelo.vectors");
const PITAYA: &str = include_str!("../../../codecs/pitaya.vectors");

#[test]
fn answers_as_its_vectors_say() {
    for vectors in [POMELO, PITAYA] {
        let vectors = Vectors::parse(vectors).expect("the vectors are well-formed");
        let codec = NativePomelo::new(vectors.options()).expect("its options are good");
        let mismatches: Vec<_> = vectors.replay(&codec).map(|mismatch| mismatch.to_string()).collect();
        assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    }
}
