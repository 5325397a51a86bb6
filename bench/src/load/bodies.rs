//! Message bodies as applications write them: nested JSON with names, amounts, times and free text.
//!
//! A pool of distinct documents is made once from a seed; each message gets its number patched in, so that
//! making one costs a copy. Nothing is repeated to reach a size, or compression would flatter everybody.

use crate::sqs::Attribute;

/// Types of the messages, in turn.
pub const TYPES: [&str; 4] = ["order.created", "order.shipped", "customer.updated", "page.viewed"];

/// Distinct documents of a pool.
const POOL: usize = 2048;
/// Digits of the number that each message carries.
const DIGITS: usize = 12;

/// One message: its body and what belongs to it.
#[derive(Clone, Debug)]
pub struct Body {
    /// JSON text, with `"seq":"<12 digits>"` as its first member.
    pub text: String,
    /// Its type, one of [`TYPES`].
    pub type_name: &'static str,
    /// Message attributes.
    pub attributes: Vec<Attribute>,
}

/// A pool of documents.
pub struct Bodies {
    pool: Vec<(String, usize)>,
    attributes: usize,
}

impl Bodies {
    /// Documents of about `bytes` bytes each (at least 64), with 0 to 10 attributes.
    pub fn new(seed: u64, bytes: usize, attributes: usize) -> Bodies {
        let mut random = Random(seed);
        let pool = if bytes > 64 << 10 { 16 } else { POOL };
        let document = |index: usize, random: &mut Random| {
            (document(random, TYPES[index % TYPES.len()], bytes), index % TYPES.len())
        };
        Bodies {
            pool: (0..pool).map(|index| document(index, &mut random)).collect(),
            attributes: attributes.min(10),
        }
    }

    /// The message of this number.
    pub fn body(&self, number: u64) -> Body {
        let (template, kind) = &self.pool[(number % self.pool.len() as u64) as usize];
        let digits = format!("{number:0DIGITS$}");
        let mut text = String::with_capacity(template.len());
        text.push_str("{\"seq\":\"");
        text.push_str(&digits);
        text.push_str(&template[8 + DIGITS..]);
        Body { text, type_name: TYPES[*kind], attributes: self.attributes_of(number, TYPES[*kind]) }
    }

    fn attributes_of(&self, number: u64, kind: &str) -> Vec<Attribute> {
        let make = |index: usize| match index {
            0 => ("type".to_owned(), "String", kind.as_bytes().to_vec()),
            1 => ("tenant".to_owned(), "Number.int", (number % 997).to_string().into_bytes()),
            2 => ("trace".to_owned(), "Binary", number.to_be_bytes().to_vec()),
            _ => (
                format!("extra-{index}"),
                "String.x",
                format!("value-{}", number.wrapping_mul(index as u64)).into_bytes(),
            ),
        };
        let attribute = |index| {
            let (name, data_type, value) = make(index);
            Attribute { name, data_type: data_type.to_owned(), value }
        };
        (0..self.attributes).map(attribute).collect()
    }

    /// The number that a body carries.
    pub fn number(body: &[u8]) -> Option<u64> {
        let digits = body.strip_prefix(b"{\"seq\":\"")?.get(..DIGITS)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Whether a body is, byte for byte, that of its number.
    pub fn is_intact(&self, number: u64, body: &[u8]) -> bool {
        let (template, _) = &self.pool[(number % self.pool.len() as u64) as usize];
        Bodies::number(body) == Some(number)
            && body.get(8 + DIGITS..) == Some(&template.as_bytes()[8 + DIGITS..])
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[(self.next() % words.len() as u64) as usize]
    }
}

const FIRST: &[&str] =
    &["Ana", "Bruno", "Chloé", "Dmitri", "Eva", "Farid", "Grete", "Hiro", "Inés", "Jörg", "Kofi", "Léa"];
const LAST: &[&str] =
    &["Almeida", "Berg", "Castro", "Dvořák", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Jensen"];
const CITY: &[&str] =
    &["Lisboa", "Köln", "São Paulo", "Kraków", "Dublin", "Malmö", "Lyon", "Osaka", "Accra", "Graz"];
const GOODS: &[&str] = &[
    "USB-C cable 2 m",
    "desk lamp \\\"Aurora\\\"",
    "notebook A5",
    "running shoes",
    "kettle 1.7 l",
    "tent, 2 persons",
    "SSD 1 TB",
];
const NOTE: &[&str] = &[
    "please ring twice",
    "leave with neighbour",
    "gift:\\n\\\"happy birthday\\\"",
    "fragile",
    "call before delivery",
    "no substitutes",
];
const PAGE: &[&str] =
    &["/cart", "/checkout?step=2", "/search?q=lamp", "/account/orders", "/p/8841", "/help/returns"];

/// One document of about `bytes` bytes.
fn document(random: &mut Random, kind: &str, bytes: usize) -> String {
    let mut text = format!("{{\"seq\":\"{:0DIGITS$}\",\"type\":\"{kind}\"", 0);
    if bytes > 200 {
        let (first, last) = (random.pick(FIRST), random.pick(LAST));
        let id = random.next();
        text.push_str(&format!(
            ",\"id\":\"{id:016x}\",\"at\":\"2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z\",\"customer\":{{\"id\":{},\"name\":\"{first} {last}\",\"city\":\"{}\",\"vip\":{}}}",
            id % 12 + 1, id % 28 + 1, id % 24, id / 7 % 60, id / 11 % 60, id / 13 % 1000, random.next() % 1_000_000, random.pick(CITY), id.is_multiple_of(9)
        ));
    }
    text.push_str(",\"lines\":[");
    let mut first = true;
    while text.len() + 160 < bytes {
        if !std::mem::replace(&mut first, false) {
            text.push(',');
        }
        let (one, two) = (random.next(), random.next());
        text.push_str(&format!(
            "{{\"sku\":\"{:010x}\",\"item\":\"{}\",\"qty\":{},\"price\":{}.{:02},\"note\":\"{}\",\"page\":\"{}\"}}",
            one & 0xff_ffff_ffff, random.pick(GOODS), one % 9 + 1, two % 900, two / 900 % 100, random.pick(NOTE), random.pick(PAGE)
        ));
    }
    text.push(']');
    let left = bytes.saturating_sub(text.len() + 9);
    if left > 0 {
        text.push_str(",\"ref\":\"");
        while text.len() + 2 < bytes {
            let piece = format!("{:016x}", random.next());
            let room = bytes - text.len() - 2;
            text.push_str(&piece[..room.min(16)]);
        }
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_valid_json_of_their_size_and_carry_their_number() {
        for bytes in [64, 256, 1024, 16 << 10, 256 << 10] {
            let bodies = Bodies::new(7, bytes, 3);
            for number in [0, 1, 2, 3, 123_456_789] {
                let body = bodies.body(number);
                let value: serde_json::Value = serde_json::from_str(&body.text).unwrap();
                assert_eq!(value["type"], body.type_name);
                assert_eq!(Bodies::number(body.text.as_bytes()), Some(number));
                assert!(bodies.is_intact(number, body.text.as_bytes()));
                assert!(!bodies.is_intact(number + 1, body.text.as_bytes()));
                assert!(body.text.len().abs_diff(bytes) <= bytes / 8 + 24, "{} for {bytes}", body.text.len());
                assert_eq!(body.attributes.len(), 3);
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_bodies() {
        assert_eq!(Bodies::new(1, 1024, 0).body(5).text, Bodies::new(1, 1024, 0).body(5).text);
        assert_ne!(Bodies::new(1, 1024, 0).body(5).text, Bodies::new(2, 1024, 0).body(5).text);
    }
}
