//! Bounds on what goes on at once. A place is taken at the beginning and is free again when it is dropped, so it is
//! kept for as long as the work that it stands for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A bounded number of places.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    /// Makes `limit` free places.
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn take(&self) -> Option<Place> {
        let take = |taken: usize| (taken < self.limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Place(self.taken.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(1);
        let place = places.take().unwrap();
        assert!(places.take().is_none());
        drop(place);
        assert!(places.take().is_some());
    }
}
