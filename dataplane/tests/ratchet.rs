//! The pure half of the ratchet. Its program is built with a feature that no test has; these two files of it are
//! mounted here by path, and their claims stand at their ends.

#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../benches/instructions/marks.rs"]
mod marks;
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../benches/instructions/profile.rs"]
mod profile;
