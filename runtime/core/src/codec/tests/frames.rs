//! Tests that the ends of packets in a stream are checked.

use crate::codec::{Frames, Violation};

fn check(ends: &[u32], bytes: usize) -> Result<(), Violation> {
    Frames { ends: ends.to_vec(), ..Frames::default() }.check(bytes)
}

#[test]
fn ends_rise_and_stay_within_the_bytes() {
    for ends in [vec![], vec![1], vec![5], vec![1, 2, 5]] {
        assert_eq!(check(&ends, 5), Ok(()), "{ends:?}");
    }
    for ends in [vec![0], vec![1, 1], vec![2, 1], vec![1, 5, 4], vec![6], vec![1, 6], vec![u32::MAX]] {
        assert_eq!(check(&ends, 5), Err(Violation::Ends), "{ends:?}");
    }
    assert_eq!(check(&[], 0), Ok(()));
}

#[test]
fn there_are_at_most_256_ends() {
    let ends: Vec<u32> = (1..=257).collect();
    assert_eq!(check(&ends[..256], 1000), Ok(()));
    assert_eq!(check(&ends, 1000), Err(Violation::Ends));
}

#[test]
fn the_packets_take_up_the_bytes_before_the_last_end() {
    assert_eq!(Frames::default().consumed(), 0);
    assert_eq!(Frames { ends: vec![3, 7], ..Frames::default() }.consumed(), 7);
}
