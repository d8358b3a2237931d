//! Tests of the close codes, the causes of a farewell, and the time of tools.

use crate::codec::{Cause, Instant, Level, is_close_code};

#[test]
fn a_close_code_is_none_or_one_that_an_endpoint_may_send() {
    for (first, last) in [(0, 0), (1000, 1003), (1007, 1014), (3000, 4999)] {
        assert!(is_close_code(first) && is_close_code(last), "{first} to {last}");
        assert!(!is_close_code(last + 1), "{}", last + 1);
        assert!(first == 0 || !is_close_code(first - 1), "{}", first - 1);
    }
    // No other code is allowed, and no number whose lowest 16 bits are a code.
    assert_eq!((0..=u64::from(u16::MAX)).filter(|code| is_close_code(*code)).count(), 1 + 4 + 8 + 2000);
    for number in [1 << 16, (1 << 16) + 1000, (1 << 32) + 3000, u64::MAX] {
        assert!(!is_close_code(number), "{number}");
    }
}

#[test]
fn causes_and_levels_have_the_names_of_the_contract() {
    assert_eq!(Cause::ALL.map(Cause::name), ["kicked", "displaced", "replaced", "shutdown"]);
    assert_eq!(Level::ALL.map(Level::name), ["debug", "info", "warn", "error"]);
    assert!(Cause::ALL.into_iter().all(|cause| Cause::from_name(cause.name()) == Some(cause)));
    assert!(Level::ALL.into_iter().all(|level| Level::from_name(level.name()) == Some(level)));
    assert_eq!((Cause::from_name("Kicked"), Level::from_name("warning")), (None, None));
}

#[test]
fn the_time_of_tools_begins_at_the_same_moment_every_day() {
    let Instant { session_ms, unix_ms } = Instant::for_test(1500);
    assert_eq!((session_ms, unix_ms), (1500, 946_684_801_500));
    assert_eq!(Instant::for_test(u64::MAX).unix_ms, u64::MAX);
}
