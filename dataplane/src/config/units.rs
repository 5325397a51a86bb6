//! Durations and sizes as operators write them: `"250ms"`, `"20s"`, `"64KiB"`.
//!
//! Level 0, pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written as a whole number and a unit: `us`, `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Time {
        Time(Duration::from_secs(seconds))
    }

    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Time {
        Time(Duration::from_millis(millis))
    }

    /// Whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads `"20s"`.
    ///
    /// # Errors
    /// Text that says what is wrong and which form is right.
    pub fn parse(text: &str) -> Result<Time, String> {
        let (number, unit) = split(text)?;
        let micros = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => {
                return Err(format!(
                    "`{text}` has no known unit: write a whole number and us, ms, s, m or h, for example \"20s\""
                ));
            }
        };
        let micros = number.checked_mul(micros).ok_or_else(|| format!("`{text}` is too long"))?;
        Ok(Time(Duration::from_micros(micros)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)] {
            if micros != 0 && micros.is_multiple_of(size) {
                return write!(f, "{}{unit}", micros / size);
            }
        }
        write!(f, "{micros}us")
    }
}

/// A size in bytes, written as a whole number and a unit: `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads `"64KiB"`.
    ///
    /// # Errors
    /// Text that says what is wrong and which form is right.
    pub fn parse(text: &str) -> Result<Bytes, String> {
        let (number, unit) = split(text)?;
        let size = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => {
                return Err(format!(
                    "`{text}` has no known unit: write a whole number and B, KiB, MiB or GiB, for example \"64KiB\""
                ));
            }
        };
        number.checked_mul(size).map(Bytes).ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 != 0 && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(format!("`{text}` does not begin with a whole number"));
    }
    let number = number.parse().map_err(|_| format!("`{number}` is too large a number"))?;
    Ok((number, unit.trim_start()))
}

macro_rules! as_text {
    ($type:ident, $name:literal, $pattern:literal, $what:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                $type::parse(&text).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }
    };
}

as_text!(Time, "Time", "^[0-9]+ *(us|ms|s|m|h)$", "A whole number and a unit: us, ms, s, m or h.");
as_text!(Bytes, "Bytes", "^[0-9]+ *(B|KiB|MiB|GiB)$", "A whole number and a unit: B, KiB, MiB or GiB.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_in_the_largest_whole_unit() {
        for (text, again) in
            [("20s", "20s"), ("1500ms", "1500ms"), ("60s", "1m"), ("0s", "0us"), ("7 us", "7us")]
        {
            assert_eq!(Time::parse(text).unwrap().to_string(), again);
        }
        for (text, again) in [("64KiB", "64KiB"), ("1024KiB", "1MiB"), ("5B", "5B")] {
            assert_eq!(Bytes::parse(text).unwrap().to_string(), again);
        }
    }

    #[test]
    fn wrong_texts_are_refused_with_the_right_form() {
        assert!(Time::parse("20").unwrap_err().contains("\"20s\""));
        assert!(Time::parse("s").unwrap_err().contains("whole number"));
        assert!(Time::parse("99999999999999999999h").unwrap_err().contains("too large"));
        assert!(Bytes::parse("64KB").unwrap_err().contains("KiB"));
        assert!(Bytes::parse("18446744073709551615GiB").unwrap_err().contains("too large"));
    }
}
