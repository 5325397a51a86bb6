//! When to try again: back-off values and the breaker.
//!
//! Level 1, pure: time and randomness are arguments, so any run can be replayed.

mod backoff;
mod breaker;

pub(crate) use backoff::{Backoff, Random};
pub(crate) use breaker::{Breaker, Gate};
