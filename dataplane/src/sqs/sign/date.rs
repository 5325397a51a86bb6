//! Dates as SigV4 writes them and as HTTP answers carry them.
//!
//! Level 1, pure. Both calendars are the proleptic Gregorian one in UTC; years from 1970 to 9999.

/// Seconds of a day; neither format knows leap seconds.
pub(super) const SECONDS_PER_DAY: u64 = 86_400;

/// A time as SigV4 writes it: `20150830T123600Z`.
pub(super) struct Stamp([u8; 16]);

impl Stamp {
    /// The time so many seconds after 1970-01-01.
    pub(super) fn new(unix_s: u64) -> Stamp {
        let (year, month, day) = civil(unix_s / SECONDS_PER_DAY);
        let second = unix_s % SECONDS_PER_DAY;
        let mut text = *b"00000000T000000Z";
        let mut put = |at: usize, digits: usize, mut number: u64| {
            for place in (at..at + digits).rev() {
                text[place] = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, year);
        put(4, 2, month);
        put(6, 2, day);
        put(9, 2, second / 3600);
        put(11, 2, second / 60 % 60);
        put(13, 2, second % 60);
        Stamp(text)
    }

    /// The whole text.
    pub(super) fn time(&self) -> &str {
        // All bytes are ASCII digits and letters by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The day alone: `20150830`.
    pub(super) fn date(&self) -> &str {
        &self.time()[..8]
    }
}

/// Seconds since 1970 of an HTTP `Date`, `Sun, 06 Nov 1994 08:49:37 GMT`. Source: RFC 9110, section 5.6.7; the
/// two obsolete forms that it lists are not read, because AWS does not send them.
pub(crate) fn parse_http_date(text: &[u8]) -> Option<u64> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    const WEEKDAYS: &[u8; 21] = b"MonTueWedThuFriSatSun";
    const SEPARATORS: [(usize, &[u8]); 7] =
        [(3, b", "), (7, b" "), (11, b" "), (16, b" "), (19, b":"), (22, b":"), (25, b" GMT")];
    let text: &[u8; 29] = text.try_into().ok()?;
    if !SEPARATORS.iter().all(|(at, separator)| text[*at..].starts_with(separator)) {
        return None;
    }
    WEEKDAYS.chunks(3).position(|name| name == &text[..3])?;
    let month = MONTHS.chunks(3).position(|name| name == &text[8..11])? as u64 + 1;
    let (day, year) = (number(&text[5..7])?, number(&text[12..16])?);
    let (hour, minute, second) = (number(&text[17..19])?, number(&text[20..22])?, number(&text[23..25])?);
    if year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, month, day)?;
    Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// Year, month and day of a day since 1970. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil`], by the same source; `None` for a day that its month does not have.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let of_era = shifted_year % 400;
    let of_year = ((153 * ((month + 9) % 12) + 2) / 5 + day).checked_sub(1)?;
    let days = (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_the_same_second() {
        for (unix_s, http, stamp) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "19941106T084937Z"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "19700101T000000Z"),
            (1_440_938_160, "Sun, 30 Aug 2015 12:36:00 GMT", "20150830T123600Z"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT", "20240229T000000Z"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT", "21000228T235959Z"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT", "99991231T235959Z"),
        ] {
            assert_eq!(parse_http_date(http.as_bytes()), Some(unix_s), "{http}");
            assert_eq!(Stamp::new(unix_s).time(), stamp);
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        let mut before = (1969, 12, 31);
        for days in 0..146_097 + 365 {
            let date = civil(days);
            assert!(date > before, "{date:?} after {before:?}");
            assert_eq!(days_since_1970(date.0, date.1, date.2), Some(days));
            before = date;
        }
    }

    #[test]
    fn what_is_no_date_has_no_second() {
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994     ",
            "Sun, 06 Xxx 1994 08:49:37 GMT",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun; 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            " Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(bad.as_bytes()), None, "{bad}");
        }
    }
}
