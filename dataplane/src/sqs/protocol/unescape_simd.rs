//! JSON strings to text by AVX-512 and AVX2: the same results as the scalar walk of `unescape`, faster.
//!
//! Level 1, pure. Bodies of JSON inside JSON have an escape every few bytes, so what counts is the cost of
//! an escape, not that of plain text. AVX-512 resolves all one-character escapes of 64 bytes at once;
//! AVX2 takes one compare per 32 bytes and one copy per escape. `\u` goes through the scalar code.
//!
//! Both write whole vectors ahead of what is valid. That is sound because of one invariant: text is never
//! longer than its source (`written <= at <= source.len()`), and `source.len() + SLACK` bytes are reserved.
#![allow(unsafe_code, reason = "vector loads and stores; proven against the scalar walk by property tests")]

use super::unescape::Fault;

/// Bytes that a store may reach beyond the text: one AVX-512 vector.
pub(super) const SLACK: usize = 64;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{avx2, avx512, has_avx2, has_avx512};

#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{avx2, avx512, has_avx2, has_avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_storeu_si256, _mm512_cmpeq_epi8_mask, _mm512_loadu_si512,
        _mm512_mask_blend_epi8, _mm512_mask_cmplt_epu8_mask, _mm512_maskz_compress_epi8,
        _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_set1_epi8,
        _mm512_storeu_si512, _mm512_test_epi8_mask,
    };

    use std::sync::OnceLock;

    use super::super::unescape::{SIMPLE, escape, scalar};
    use super::{Fault, SLACK};

    pub(in super::super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
    }

    /// Kept: it is asked for every string, and six questions cost more than many a string.
    pub(in super::super) fn has_avx512() -> bool {
        static FOUND: OnceLock<bool> = OnceLock::new();
        *FOUND.get_or_init(|| {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("popcnt")
        })
    }

    /// `None`: this machine has no AVX2.
    pub(in super::super) fn avx2(source: &[u8], out: &mut Vec<u8>) -> Option<Result<usize, Fault>> {
        // SAFETY: the feature has just been found.
        has_avx2().then(|| unsafe { walk_avx2(source, out) })
    }

    /// `None`: this machine lacks one of the AVX-512 features.
    pub(in super::super) fn avx512(source: &[u8], out: &mut Vec<u8>) -> Option<Result<usize, Fault>> {
        // SAFETY: the features have just been found.
        has_avx512().then(|| unsafe { walk_avx512(source, out) })
    }

    /// Appends text at the end of a vector, vectors at a time, into capacity reserved once.
    struct Tail<'a> {
        out: &'a mut Vec<u8>,
        /// End of the text so far; `out.len()` follows when the walk is done.
        end: usize,
    }

    impl<'a> Tail<'a> {
        fn new(out: &'a mut Vec<u8>, source_len: usize) -> Tail<'a> {
            // The decoder reserves for a whole answer, so this never allocates there.
            out.reserve(source_len + SLACK);
            let end = out.len();
            Tail { out, end }
        }

        /// Where the next `SLACK` bytes may be written.
        #[inline(always)]
        fn spot(&mut self) -> *mut u8 {
            debug_assert!(self.end + SLACK <= self.out.capacity());
            // SAFETY: `end` is within the capacity (see the invariant of this file).
            unsafe { self.out.as_mut_ptr().add(self.end) }
        }

        /// Appends what one escape stands for.
        #[inline(always)]
        fn push(&mut self, text: char) {
            let mut utf8 = [0; 4];
            let utf8 = text.encode_utf8(&mut utf8).as_bytes();
            // SAFETY: at most 4 bytes go to where `SLACK` bytes may be written; the array is no part of them.
            unsafe { std::ptr::copy_nonoverlapping(utf8.as_ptr(), self.spot(), utf8.len()) };
            self.end += utf8.len();
        }

        /// Makes the text a part of the vector.
        fn finish(self) -> &'a mut Vec<u8> {
            debug_assert!(self.end <= self.out.capacity());
            // SAFETY: every byte before `end` has been written, and `end` is within the capacity.
            unsafe { self.out.set_len(self.end) };
            self.out
        }
    }

    /// The `SIMPLE` table as two vectors.
    #[target_feature(enable = "avx512f")]
    fn simple_table() -> (__m512i, __m512i) {
        let table: *const u8 = SIMPLE.as_ptr();
        // SAFETY: the table has 128 bytes: two unaligned loads of 64.
        unsafe { (_mm512_loadu_si512(table.cast()), _mm512_loadu_si512(table.add(64).cast())) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi1,popcnt")]
    fn walk_avx512(source: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let (quotes, slashes) = (_mm512_set1_epi8(b'"' as i8), _mm512_set1_epi8(b'\\' as i8));
        let spaces = _mm512_set1_epi8(b' ' as i8);
        let table = simple_table();
        let mut tail = Tail::new(out, source.len());
        let mut at = 0;
        loop {
            // A block always begins outside of an escape.
            let left = source.len() - at;
            let present = if left >= 64 { u64::MAX } else { below(left as u32) };
            // SAFETY: `at <= source.len()`, and bytes that are not present are not touched.
            let block = unsafe { _mm512_maskz_loadu_epi8(present, source.as_ptr().add(at).cast()) };
            let slash = _mm512_cmpeq_epi8_mask(block, slashes);
            let mut quote = _mm512_cmpeq_epi8_mask(block, quotes);
            let mut broken = _mm512_mask_cmplt_epu8_mask(present, block, spaces);
            let (mut text, mut keep) = (block, u64::MAX);
            // The backslash of an escape that the vector code cannot resolve: the first byte after the text.
            let mut odd = 0;
            if slash != 0 {
                let escapes = leading_backslashes(slash);
                let escaped = escapes << 1;
                // The table is indexed by 7 bits; what is not ASCII is sorted out by its top bit.
                let resolved = _mm512_permutex2var_epi8(table.0, block, table.1);
                let known = _mm512_test_epi8_mask(resolved, resolved) & !_mm512_movepi8_mask(block);
                odd = (escaped & !known) >> 1 | escapes & (1 << 63);
                text = _mm512_mask_blend_epi8(escaped, block, resolved);
                keep = !escapes;
                quote &= !escaped;
                broken &= !escaped;
            }
            let stop = quote | broken | odd | !present;
            // SAFETY: one whole vector, where `SLACK` bytes may be written.
            unsafe { _mm512_storeu_si512(tail.spot().cast(), _mm512_maskz_compress_epi8(keep, text)) };
            if stop == 0 {
                tail.end += keep.count_ones() as usize;
                at += 64;
                continue;
            }
            let place = stop.trailing_zeros();
            tail.end += (keep & below(place)).count_ones() as usize;
            at += place as usize;
            let is_stop = |mask: u64| mask >> place & 1 == 1;
            if is_stop(quote) {
                tail.finish();
                return Ok(at + 1);
            }
            if is_stop(odd) {
                // A `\u`, what is no escape, or an escape that reaches into the next block.
                let (character, taken) = escape(&source[at..])?;
                tail.push(character);
                at += taken;
                continue;
            }
            return Err(if is_stop(broken) { Fault::NoText } else { Fault::Truncated });
        }
    }

    /// A mask of the bits below `place`, which is less than 64.
    #[inline(always)]
    fn below(place: u32) -> u64 {
        (1 << place) - 1
    }

    /// Of each run of backslashes the first, third and so on: those that begin an escape.
    ///
    /// By a subtraction whose borrow runs along each run, after the way of Langdale and Lemire, "Parsing
    /// Gigabytes of JSON per Second", section 3.1.1. A block begins outside of an escape.
    #[inline(always)]
    fn leading_backslashes(slash: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        let after = slash << 1;
        ((after | ODD).wrapping_sub(slash) ^ ODD) & slash
    }

    #[target_feature(enable = "avx2,bmi1")]
    fn walk_avx2(source: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let (quotes, slashes) = (_mm256_set1_epi8(b'"' as i8), _mm256_set1_epi8(b'\\' as i8));
        let controls = _mm256_set1_epi8(0x1f);
        let mut tail = Tail::new(out, source.len());
        let mut at = 0;
        // Within a block a copy begins at most 31 bytes in and takes 32: 64 bytes must be left.
        'block: while source.len() - at >= 64 {
            // SAFETY: 64 bytes are left.
            let block: __m256i = unsafe { _mm256_loadu_si256(source.as_ptr().add(at).cast()) };
            let control = _mm256_cmpeq_epi8(_mm256_min_epu8(block, controls), block);
            let special = _mm256_or_si256(
                _mm256_or_si256(_mm256_cmpeq_epi8(block, quotes), _mm256_cmpeq_epi8(block, slashes)),
                control,
            );
            let mut special = _mm256_movemask_epi8(special) as u32;
            // SAFETY: a vector of 32 bytes, where `SLACK` bytes may be written.
            unsafe { _mm256_storeu_si256(tail.spot().cast(), block) };
            let mut done = 0;
            while special != 0 {
                let place = special.trailing_zeros() as usize;
                tail.end += place - done;
                match source[at + place] {
                    b'"' => {
                        tail.finish();
                        return Ok(at + place + 1);
                    }
                    b'\\' => {}
                    _ => return Err(Fault::NoText),
                }
                let resolved = SIMPLE.get(usize::from(source[at + place + 1])).copied().unwrap_or(0);
                if resolved == 0 {
                    at += place;
                    let (character, taken) = escape(&source[at..])?;
                    tail.push(character);
                    at += taken;
                    continue 'block;
                }
                // SAFETY: one byte, where `SLACK` bytes may be written.
                unsafe { tail.spot().write(resolved) };
                tail.end += 1;
                done = place + 2;
                // The escaped byte is no special one, and neither is what has been passed.
                special &= (u64::MAX << done) as u32;
                if special == 0 {
                    at += done;
                    continue 'block;
                }
                // SAFETY: `done` is at most 31 while there are special bytes, and 64 bytes are left.
                let rest: __m256i = unsafe { _mm256_loadu_si256(source.as_ptr().add(at + done).cast()) };
                // SAFETY: a vector of 32 bytes, where `SLACK` bytes may be written.
                unsafe { _mm256_storeu_si256(tail.spot().cast(), rest) };
            }
            tail.end += 32;
            at += 32;
        }
        scalar(&source[at..], tail.finish()).map(|taken| at + taken)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use super::Fault;

    pub(in super::super) fn has_avx2() -> bool {
        false
    }

    pub(in super::super) fn has_avx512() -> bool {
        false
    }

    pub(in super::super) fn avx2(_: &[u8], _: &mut Vec<u8>) -> Option<Result<usize, Fault>> {
        None
    }

    pub(in super::super) fn avx512(_: &[u8], _: &mut Vec<u8>) -> Option<Result<usize, Fault>> {
        None
    }
}
