//! Which partition or producer a key belongs to: murmur2 as Kafka's Java client computes it.
//!
//! Level 1, pure. Chooses the partition of a record and the shard that owns a key. librdkafka's own
//! `murmur2_random` gives the same partitions.

/// Seed of Kafka's murmur2. Source: org.apache.kafka.common.utils.Utils.murmur2.
const SEED: u32 = 0x9747_b28c;
/// Multiplier of murmur2.
const MULTIPLIER: u32 = 0x5bd1_e995;

/// murmur2 of a key, as `Utils.murmur2` of Kafka's Java client.
pub(crate) fn murmur2(key: &[u8]) -> u32 {
    // Kafka's length is a Java int; a key cannot be longer than a record.
    #[allow(clippy::cast_possible_truncation, reason = "keys are far shorter than 4 GiB")]
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (position, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * position);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// Partition of a key, as Kafka's Java client and librdkafka's `murmur2_random` choose it; 0 of 0 partitions.
pub(crate) fn partition(key: &[u8], partitions: u32) -> u32 {
    // The sign bit is cut, not the absolute value taken: `Utils.toPositive`.
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
}

/// The producer, 0 to `producers` - 1, through which all records of a key go.
///
/// The high bits decide: the low ones already decide the partition, and with as many producers as
/// partitions each producer would otherwise feed one partition only.
///
/// # Panics
/// With 0 producers: a pipeline has at least one.
pub(crate) fn owner(key: &[u8], producers: u16) -> u16 {
    assert!(producers > 0, "a pipeline has at least one producer");
    let spread = u64::from(murmur2(key).wrapping_mul(0x9e37_79b1));
    // Multiply and shift maps 32 bits evenly onto the producers; the result is less than `producers`.
    #[allow(clippy::cast_possible_truncation, reason = "the product's top half is below a u16")]
    let owner = ((spread * u64::from(producers)) >> 32) as u16;
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: UtilsTest.testMurmur2 of Apache Kafka.
    #[test]
    fn hashes_equal_the_published_vectors() {
        let vectors: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn partitions_are_spread_and_in_range() {
        let mut counts = [0_u32; 12];
        for key in 0..12_000_u32 {
            counts[partition(format!("key-{key}").as_bytes(), 12) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn owners_are_stable_spread_and_independent_of_partitions() {
        let mut cells = [[0_u32; 4]; 4];
        for key in 0..16_000_u32 {
            let key = format!("group-{key}");
            let owner = owner(key.as_bytes(), 4);
            assert_eq!(owner, super::owner(key.as_bytes(), 4));
            cells[owner as usize][partition(key.as_bytes(), 4) as usize] += 1;
        }
        assert!(cells.iter().flatten().all(|&count| (800..1200).contains(&count)), "{cells:?}");
        assert_eq!(owner(b"any", 1), 0);
        assert!((0..1000_u32).all(|key| owner(&key.to_le_bytes(), u16::MAX) < u16::MAX));
    }
}
