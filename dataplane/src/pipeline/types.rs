//! Message types: names to small numbers, capped.
//!
//! Level 1, pure. Types are user input: at most [`limits::TYPES_MAX`] are counted apart, the rest is
//! `other`, and a long name is cut for counting.

use std::collections::HashMap;

use crate::control::TypeReport;
use crate::limits;

/// Number of a type on its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeId(u16);

/// The types that one pipeline has seen on one shard.
#[derive(Debug)]
pub(crate) struct Types {
    ids: HashMap<Vec<u8>, TypeId>,
    reports: Vec<TypeReport>,
}

const NONE: TypeId = TypeId(0);
const OTHER: TypeId = TypeId(1);

impl Types {
    /// No types yet, beside `none` (the message has none) and `other` (the table is full).
    pub(crate) fn new() -> Types {
        let report = |name: &str| TypeReport { name: name.to_owned(), ..TypeReport::default() };
        Types { ids: HashMap::new(), reports: vec![report("none"), report("other")] }
    }

    /// The number of a type.
    pub(crate) fn id(&mut self, name: Option<&[u8]>) -> TypeId {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return NONE };
        let name = &name[..name.len().min(limits::TYPE_NAME_BYTES_MAX)];
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        if self.ids.len() >= limits::TYPES_MAX {
            return OTHER;
        }
        let id = TypeId(self.reports.len() as u16);
        let shown = String::from_utf8_lossy(name).into_owned();
        self.reports.push(TypeReport { name: shown, ..TypeReport::default() });
        self.ids.insert(name.to_vec(), id);
        id
    }

    /// Counts a received message and the bytes of its body.
    pub(crate) fn received(&mut self, id: TypeId, bytes: u32) {
        let report = &mut self.reports[id.0 as usize];
        report.count += 1;
        report.bytes += u64::from(bytes);
    }

    /// Counts a rejected message.
    pub(crate) fn rejected(&mut self, id: TypeId) {
        self.reports[id.0 as usize].errors += 1;
    }

    /// Types that occurred.
    pub(crate) fn reports(&self) -> Vec<TypeReport> {
        self.reports.iter().filter(|report| report.count > 0).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_capped_and_the_rest_is_other() {
        let mut types = Types::new();
        for n in 0..1_000 {
            let id = types.id(Some(format!("t{n}").as_bytes()));
            types.received(id, 10);
        }
        let reports = types.reports();
        assert_eq!(reports.len(), limits::TYPES_MAX + 1);
        let other = reports.iter().find(|report| report.name == "other").unwrap();
        assert_eq!(other.count, 1_000 - limits::TYPES_MAX as u64);
        assert_eq!(reports.iter().map(|report| report.bytes).sum::<u64>(), 10_000);
    }

    #[test]
    fn a_missing_type_is_none_and_a_long_one_is_cut() {
        let mut types = Types::new();
        assert_eq!(types.id(None), NONE);
        assert_eq!(types.id(Some(b"")), NONE);
        let long = [b'x'; 500];
        assert_eq!(types.id(Some(&long)), types.id(Some(&long[..limits::TYPE_NAME_BYTES_MAX])));
    }
}
