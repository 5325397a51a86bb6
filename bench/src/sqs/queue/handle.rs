//! Receipt handles: which slot, which message in it, which receive of that message.

use crate::sqs::message::hex;

/// A parsed receipt handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) ordinal: u32,
    pub(super) id: u128,
}

impl Handle {
    /// As text, 120 characters, as long as AWS's shorter ones.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"AQEB");
        for number in [self.slot, self.generation, self.ordinal] {
            out.extend_from_slice(hex8(number).as_slice());
        }
        let id = hex(&self.id.to_be_bytes());
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(hex8(self.check()).as_slice());
        // Padding to a realistic length; it carries nothing.
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&id.as_bytes()[..20]);
    }

    fn check(self) -> u32 {
        let mixed = u64::from(self.slot) << 32
            ^ u64::from(self.generation) << 16
            ^ u64::from(self.ordinal)
            ^ self.id as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    pub(crate) fn parse(text: &str) -> Option<Handle> {
        let number = |from: usize| u32::from_str_radix(text.get(from..from + 8)?, 16).ok();
        let id = u128::from_str_radix(text.get(28..60)?, 16).ok()?;
        let handle = Handle { slot: number(4)?, generation: number(12)?, ordinal: number(20)?, id };
        (text.starts_with("AQEB") && text.len() == 120 && number(60)? == handle.check()).then_some(handle)
    }
}

fn hex8(number: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|place| DIGITS[(number >> (28 - 4 * place) & 15) as usize])
}
