//! The saved states of sessions that sleep, in little memory.
//!
//! States of sessions of one codec are often alike: most of a state is what each client was sent in
//! the handshake. So a state is kept as its difference from an earlier one: the bytes between the
//! beginning and the end that both have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The saved states of the sessions of one codec.
#[derive(Debug, Default)]
pub struct SavedStates {
    /// A state with which the next ones are compared.
    model: Mutex<Option<Arc<[u8]>>>,
}

/// The saved state of one session.
#[derive(Debug)]
pub struct SavedState {
    model: Arc<[u8]>,
    /// How many bytes of the model the state begins with, and how many it ends with.
    begin: usize,
    end: usize,
    /// The bytes between them.
    own: Box<[u8]>,
}

impl SavedStates {
    /// Keeps a state. If it is alike to the model, only the difference takes memory. Otherwise it
    /// becomes the model of the next states.
    pub fn keep(&self, state: &[u8]) -> SavedState {
        let latest = self.lock().clone();
        if let Some(model) = latest {
            let (begin, end) = in_common(&model, state);
            // A small state must not keep a large model.
            if begin + end >= state.len().max(model.len()) / 2 {
                let own = state[begin..state.len() - end].into();
                return SavedState { model, begin, end, own };
            }
        }
        let model: Arc<[u8]> = state.into();
        *self.lock() = Some(Arc::clone(&model));
        SavedState { begin: model.len(), end: 0, own: Box::default(), model }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SavedState {
    /// Returns the whole state.
    pub fn to_vec(&self) -> Vec<u8> {
        let Self { model, begin, end, own } = self;
        [&model[..*begin], own, &model[model.len() - end..]].concat()
    }
}

/// Returns how many bytes two states have in common at the beginning, and how many of the others at
/// the end.
fn in_common(one: &[u8], other: &[u8]) -> (usize, usize) {
    let begin = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[begin..], &other[begin..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_kept() {
        let states = SavedStates::default();
        let all: [&[u8]; 7] = [b"abcdef", b"abcdef", b"abXdef", b"abcd", b"abcdefabcdef", b"", b"other"];
        let kept = all.map(|state| states.keep(state));
        for (state, kept) in all.iter().zip(&kept) {
            assert_eq!(kept.to_vec(), *state);
        }
    }

    #[test]
    fn states_that_are_alike_share_memory() {
        let states = SavedStates::default();
        let handshake = [7; 9000];
        let state = |time: u8| [&[1, time][..], &handshake].concat();
        let kept = [1, 2, 3].map(|time| states.keep(&state(time)));
        assert_eq!(kept.each_ref().map(|kept| kept.own.len()), [0, 1, 1]);
        // A state of another kind is the model from then on.
        let other = states.keep(&[8; 500]);
        assert!(Arc::ptr_eq(&other.model, &states.keep(&[8; 400]).model));
        let small = states.keep(&[8; 100]);
        assert_eq!(small.model.len(), 100, "a small state keeps no large model");
    }
}
