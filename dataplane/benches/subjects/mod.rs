//! What is measured: each subject is a station of the walk with its input. Criterion times them, `instructions`
//! counts them, so that both speak of the same.
//!
//! No subject looks at a clock, a socket or a random number: a step does the same each time.

pub(crate) mod codec;
mod fixtures;
pub(crate) mod stations;

pub(crate) use fixtures::{answer, json_body};

/// One repetition of a subject. It leaves everything as it found it.
pub(crate) type Step = Box<dyn FnMut()>;

/// Something that is measured.
pub(crate) struct Subject {
    /// What is done, how many, on what input, at which level: `decode_10/json/avx2`.
    pub(crate) name: String,
    prepare: Box<dyn Fn() -> Step>,
}

impl Subject {
    /// `prepare` makes the input; what it returns is measured.
    fn new<S: FnMut() + 'static>(name: impl Into<String>, prepare: impl Fn() -> S + 'static) -> Subject {
        Subject { name: name.into(), prepare: Box::new(move || Box::new(prepare())) }
    }

    /// Makes the input.
    pub(crate) fn prepare(&self) -> Step {
        (self.prepare)()
    }
}

/// Every subject that this machine can run.
pub(crate) fn all() -> Vec<Subject> {
    let mut subjects = codec::all();
    subjects.extend(stations::all());
    subjects
}
