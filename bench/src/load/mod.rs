//! Load: realistic messages, on a schedule that does not wait for the one who is measured.

mod bodies;
mod drain;
mod schedule;

pub use bodies::{Bodies, Body, TYPES};
pub use drain::drain;
pub use schedule::{Rate, Schedule};
