//! Counts the outcomes of the inputs. They are printed from time to time and when the fuzzer ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic;

/// The number of inputs of a kind after which at least one must have been loaded. Otherwise the
/// target tests nothing.
const ENOUGH: u64 = 2000;

/// The most causes that are counted separately.
const CAUSES: usize = 400;

/// The number of causes that are printed.
const PRINTED: usize = 40;

/// The number of characters of a cause that distinguish it from others.
const LENGTH: usize = 110;

#[derive(Default)]
struct Tally {
    inputs: u64,
    /// The counts by the kind and the outcome of the input.
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    /// The counts by the outcome and its cause, without the numbers in the cause.
    causes: BTreeMap<(&'static str, String), u64>,
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
}

/// Counts an outcome of an input of this kind.
pub fn count(kind: &'static str, outcome: &'static str, cause: &str) {
    TALLY.with_borrow_mut(|tally| {
        *tally.outcomes.entry((kind, outcome)).or_default() += 1;
        tally.note(outcome, cause);
        if ["loaded", "refused", "not encoded"].contains(&outcome) {
            tally.inputs += 1;
            if tally.inputs.is_power_of_two() && tally.inputs >= 4096 {
                tally.print();
            }
            assert!(
                tally.inputs < ENOUGH || tally.loaded() > 0,
                "of {} inputs none was loaded: the target tests nothing",
                tally.inputs
            );
        }
    });
}

impl Tally {
    fn note(&mut self, outcome: &'static str, cause: &str) {
        if cause.is_empty() {
            return;
        }
        let cause: String = cause
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .flat_map(char::escape_debug)
            .take(LENGTH)
            .collect();
        let key = (outcome, cause);
        if self.causes.len() < CAUSES || self.causes.contains_key(&key) {
            *self.causes.entry(key).or_default() += 1;
        } else {
            *self.causes.entry((outcome, "(another cause)".to_owned())).or_default() += 1;
        }
    }

    fn loaded(&self) -> u64 {
        self.outcomes.iter().filter(|((_, outcome), _)| *outcome == "loaded").map(|(_, count)| count).sum()
    }

    fn print(&self) {
        eprintln!("guests: {} inputs", self.inputs);
        for ((kind, outcome), count) in &self.outcomes {
            eprintln!("guests: {count:>9}  {kind}: {outcome}");
        }
        let mut causes: Vec<_> = self.causes.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((outcome, cause), count) in causes.into_iter().take(PRINTED) {
            eprintln!("guests: {count:>9}  {outcome}: {cause}");
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.print();
    }
}

/// Lets a panic end the process only if it reaches the fuzzer. The runtime catches panics of the
/// library that reads a component's memory, and libFuzzer's own hook would abort before that.
pub fn tolerate_contained_panics() {
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |location| location.file());
        if !file.contains("wasmtime-wizer") {
            abort(info);
        }
    }));
}
