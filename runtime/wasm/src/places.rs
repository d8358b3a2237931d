//! Places that codecs share, so that no codec takes the last ones of another.
//!
//! Half of the places are reserved. Each codec that shares the places has an equal part of that
//! half, which no other codec can take. The other half is first come, first served. A codec that
//! joins when all places are taken gets its part as places become free.

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wireplug_core::codec::{CodecError, Reason};

/// Places for sandboxes. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<PlacesState>);

#[derive(Debug)]
struct PlacesState {
    /// What the places are for, and how to get more of them. Error messages show both.
    what: &'static str,
    more: &'static str,
    max: usize,
    /// Additional places, for all codecs and for one codec. A session that moves to another sandbox
    /// has two sandboxes for a moment, and each thread moves at most one session at a time.
    spare: usize,
    spare_of_one: usize,
    tenants: Mutex<Tenants>,
}

#[derive(Debug, Default)]
struct Tenants {
    /// The places of each tenant, by its number; `None` if the tenant has left.
    taken: Vec<Option<TenantPlaces>>,
    spare: usize,
}

/// The places that a tenant has taken.
#[derive(Clone, Copy, Debug, Default)]
struct TenantPlaces {
    places: usize,
    spare: usize,
}

/// A codec that shares the places.
#[derive(Debug)]
pub struct Tenant {
    places: Places,
    number: usize,
}

/// One place. Dropping it frees the place.
#[derive(Debug)]
pub struct Place(Arc<Tenant>);

impl Places {
    /// Creates `max` places. Error messages say that they are for `what` and that `more` allows
    /// more.
    pub fn new(max: usize, what: &'static str, more: &'static str) -> Self {
        let threads = threads();
        Self(Arc::new(PlacesState {
            what,
            more,
            max,
            spare: Self::spare(),
            spare_of_one: threads,
            tenants: Mutex::default(),
        }))
    }

    /// Returns the number of spare places, which are in addition to those that are requested.
    pub fn spare() -> usize {
        threads() * 4
    }

    /// Adds a codec that shares the places.
    pub fn join(&self) -> Tenant {
        let mut tenants = self.lock();
        let free = tenants.taken.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            tenants.taken.push(None);
            tenants.taken.len() - 1
        });
        tenants.taken[number] = Some(TenantPlaces::default());
        Tenant { places: self.clone(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    fn each(&self) -> impl Iterator<Item = TenantPlaces> {
        self.taken.iter().flatten().copied()
    }

    fn of(&mut self, number: usize) -> &mut TenantPlaces {
        self.taken[number].as_mut().expect("a tenant has a number until it leaves")
    }

    /// Returns the part of `max` places that is reserved for each tenant.
    fn share(&self, max: usize) -> usize {
        (max / 2 / self.each().count().max(1)).max(1)
    }

    /// Returns whether this tenant may take one more of `max` places.
    fn admits(&mut self, number: usize, max: usize) -> bool {
        let share = self.share(max);
        let own = self.of(number).places;
        let all: usize = self.each().map(|taken| taken.places).sum();
        let promised: usize = self.each().map(|taken| taken.places.max(share)).sum();
        all < max && (own < share || promised < max)
    }
}

impl Tenant {
    /// Returns the largest number of places that this tenant can have while no tenant joins or
    /// leaves: all places without the shares of the others.
    pub fn most(&self) -> usize {
        let max = self.places.0.max;
        let tenants = self.places.lock();
        let others = tenants.each().count().saturating_sub(1);
        max.saturating_sub(others * tenants.share(max)).max(1)
    }

    /// Checks whether another session may open.
    ///
    /// # Errors
    /// Returns an error if the codec may take no more places now.
    pub fn admit(&self) -> Result<(), CodecError> {
        let max = self.places.0.max;
        let mut tenants = self.places.lock();
        if tenants.admits(self.number, max) { Ok(()) } else { Err(self.full(&mut tenants)) }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// Returns an error if the codec may take no more places now.
    pub fn take(self: &Arc<Self>) -> Result<Place, CodecError> {
        let mut tenants = self.places.lock();
        if !tenants.admits(self.number, self.places.0.max) {
            return Err(self.full(&mut tenants));
        }
        tenants.of(self.number).places += 1;
        Ok(Place(Arc::clone(self)))
    }

    /// Takes a place, or a spare one.
    ///
    /// # Errors
    /// Returns an error if neither is free for this codec.
    pub fn take_or_spare(self: &Arc<Self>) -> Result<Place, CodecError> {
        let PlacesState { max, spare, spare_of_one, .. } = *self.places.0;
        let mut tenants = self.places.lock();
        if tenants.admits(self.number, max) {
            tenants.of(self.number).places += 1;
        } else if tenants.spare < spare && tenants.of(self.number).spare < spare_of_one {
            tenants.of(self.number).spare += 1;
            tenants.spare += 1;
        } else {
            return Err(self.full(&mut tenants));
        }
        Ok(Place(Arc::clone(self)))
    }

    fn full(&self, tenants: &mut Tenants) -> CodecError {
        let PlacesState { what, more, max, .. } = *self.places.0;
        let TenantPlaces { places, spare } = *tenants.of(self.number);
        let own = places + spare;
        CodecError::Exhausted(Reason::new(format!(
            "this codec has {own} of the {max} places for {what}; the others are taken or reserved for other codecs; \
             {more} allows more"
        )))
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.places.lock().taken[self.number] = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tenants = self.0.places.lock();
        // A session that moved into a spare place has left its former place by now.
        if tenants.of(self.0.number).spare > 0 {
            tenants.of(self.0.number).spare -= 1;
            tenants.spare -= 1;
        } else {
            tenants.of(self.0.number).places -= 1;
        }
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::{Place, Places, Tenant};
    use std::sync::Arc;

    fn places(max: usize) -> Places {
        Places::new(max, "tests", "`more`")
    }

    /// Takes all places that the tenant can get.
    fn fill(tenant: &Arc<Tenant>) -> Vec<Place> {
        let mut taken = Vec::new();
        while tenant.admit().is_ok() {
            taken.push(tenant.take().expect("it was let in"));
        }
        taken
    }

    #[test]
    fn one_alone_has_all() {
        let alone = Arc::new(places(8).join());
        assert_eq!(alone.most(), 8);
        assert_eq!(fill(&alone).len(), 8);
        // The places were freed.
        assert_eq!(fill(&alone).len(), 8);
    }

    #[test]
    fn each_has_its_share_whatever_others_take() {
        let places = places(8);
        let [one, two] = [(); 2].map(|()| Arc::new(places.join()));
        // Its own two places, and the four that are not reserved.
        assert_eq!(one.most(), 6);
        let greedy = fill(&one);
        assert_eq!(greedy.len(), 6);
        let error = one.admit().expect_err("the others are reserved").to_string();
        assert!(
            error.contains("6 of the 8 places for tests") && error.contains("`more` allows more"),
            "{error}"
        );
        assert_eq!(fill(&two).len(), 2);
        drop(greedy);
        assert_eq!(fill(&two).len(), 6);
    }

    #[test]
    fn what_one_that_has_left_had_is_for_the_others() {
        let places = places(8);
        let one = Arc::new(places.join());
        drop(places.join());
        assert_eq!(fill(&one).len(), 8);
    }

    #[test]
    fn one_that_joins_late_gets_places_as_they_become_free() {
        let places = places(8);
        let one = Arc::new(places.join());
        let mut greedy = fill(&one);
        let late = Arc::new(places.join());
        assert!(late.admit().is_err());
        drop(greedy.drain(..1));
        // The free place is reserved for the late tenant.
        assert!(one.admit().is_err());
        assert_eq!(fill(&late).len(), 1);
    }

    #[test]
    fn a_session_that_goes_on_elsewhere_finds_a_spare_place_and_leaves_it() {
        let places = places(2);
        let one = Arc::new(places.join());
        let mut taken = fill(&one);
        for _ in 0..100 {
            taken.push(one.take_or_spare().expect("there are spare places"));
            taken.remove(0);
            assert!(one.admit().is_err());
        }
        taken.pop();
        one.admit().expect("one was given back");
    }

    #[test]
    fn one_cannot_have_all_spare_places() {
        let places = places(1);
        let [one, other] = [(); 2].map(|()| Arc::new(places.join()));
        let mut taken = Vec::new();
        while let Ok(place) = one.take_or_spare() {
            taken.push(place);
        }
        other.take_or_spare().expect("spare places are left");
    }
}
