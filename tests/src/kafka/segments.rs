//! Record batches as they lie on the first broker's disk: what no consumer shows, because it undoes it.
//!
//! Source: Kafka documentation, "Record Batch".

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::Kafka;

/// Compression of a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Base offset and length, before the part that the length counts.
const PREFIX_BYTES: usize = 12;
/// Where the length stands.
const LENGTH_AT: usize = 8;
/// The low byte of the attributes, whose last three bits are the codec.
const CODEC_AT: usize = 22;

impl Kafka {
    /// Compressions of all batches of a topic that the first broker holds.
    ///
    /// # Errors
    /// It holds none, or a segment cannot be read.
    pub fn codecs(&self, topic: &str) -> Result<BTreeSet<Codec>> {
        let mut codecs = BTreeSet::new();
        for folder in fs::read_dir(self.scratch.join("data-0"))? {
            let folder = folder?;
            let name = folder.file_name().to_string_lossy().into_owned();
            if name.rsplit_once('-').is_none_or(|(found, _)| found != topic) {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    collect(&fs::read(&path)?, &mut codecs).with_context(|| path.display().to_string())?;
                }
            }
        }
        ensure!(!codecs.is_empty(), "the first broker holds no batch of {topic}");
        Ok(codecs)
    }
}

fn collect(mut segment: &[u8], codecs: &mut BTreeSet<Codec>) -> Result<()> {
    // Preallocated space behind the last batch is zero.
    while let Some(length) = segment.get(LENGTH_AT..PREFIX_BYTES) {
        let length = u32::from_be_bytes(length.try_into()?) as usize;
        if length == 0 {
            return Ok(());
        }
        codecs.insert(match segment.get(CODEC_AT).map(|attributes| attributes & 7) {
            Some(0) => Codec::None,
            Some(1) => Codec::Gzip,
            Some(2) => Codec::Snappy,
            Some(3) => Codec::Lz4,
            Some(4) => Codec::Zstd,
            other => bail!("no batch of version 2: codec {other:?}"),
        });
        segment = segment.get(PREFIX_BYTES + length..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of 60 bytes after its length.
    fn batch(attributes: u8) -> Vec<u8> {
        let mut bytes = vec![0; PREFIX_BYTES + 60];
        bytes[LENGTH_AT..PREFIX_BYTES].copy_from_slice(&60_u32.to_be_bytes());
        bytes[CODEC_AT] = attributes;
        bytes
    }

    #[test]
    fn codecs_of_all_batches_are_found_and_empty_space_is_none() {
        let mut codecs = BTreeSet::new();
        // Bit 3 is the kind of timestamp.
        let segment = [batch(4), batch(8 | 3), vec![0; 40]].concat();
        collect(&segment, &mut codecs).unwrap();
        assert_eq!(codecs, BTreeSet::from([Codec::Lz4, Codec::Zstd]));
        assert!(collect(&batch(7), &mut codecs).is_err());
    }
}
