//! Placeholder.

use crate::stage::Test;

pub(crate) const TESTS: &[Test] = &[];
