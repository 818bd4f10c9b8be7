//! Moments as people write them, in UTC.

const DAY: u64 = 86_400;

/// `2026-11-27T04:08:23Z`; with milliseconds if `full`. `millis` are since the Unix epoch.
pub(crate) fn print(millis: u64, full: bool) -> String {
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3_600, seconds % 3_600 / 60, seconds % 60);
    let fraction = if full {
        format!(".{rest:03}")
    } else {
        String::new()
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The moment of `2026-11-28`, `2026-11-28 10:00`, `2026-11-28T10:00:05.5+02:00` (RFC 3339) and what lies between them, in
/// milliseconds since the Unix epoch. It is UTC's where the text does not say.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let midnight = day_of(year, month, day)? * DAY;
    if time.is_empty() {
        return (date == text).then_some(midnight * 1_000);
    }
    let (time, east) = zone(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] =
        numbers(time, ':', [2; 3]).or_else(|| numbers(&format!("{time}:00"), ':', [2; 3]))?;
    let is_a_time = hour < 24 && minute < 60 && second < 60;
    let seconds = midnight + hour * 3_600 + minute * 60 + second;
    let millis = i64::try_from(seconds * 1_000 + thousandths(fraction)?).ok()?;
    let millis = u64::try_from(millis - east * 60_000).ok();
    millis.filter(|_| is_a_time)
}

/// A time without its zone, and how many minutes that is east of UTC.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(sign) = time.find(['+', '-']) else {
        return Some((time, 0));
    };
    let (time, zone) = time.split_at(sign);
    let [hours, minutes] = numbers(&zone[1..], ':', [2; 2])?;
    let east = i64::try_from(hours * 60 + minutes).ok()?;
    let east = if zone.starts_with('-') { -east } else { east };
    (hours < 24 && minutes < 60).then_some((time, east))
}

/// So many numbers of so many digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = parts.iter().map(|part| part.len()).eq(digits);
    let read: Option<Vec<u64>> = parts
        .into_iter()
        .filter(|_| fits)
        .map(digits_only)
        .collect();
    read?.try_into().ok()
}

fn digits_only(text: &str) -> Option<u64> {
    let only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| only)
}

/// The first three digits of a fraction.
fn thousandths(fraction: &str) -> Option<u64> {
    digits_only(fraction)?;
    digits_only(&format!("{fraction:0<3}")[..3])
}

/// The day of a date, counted from the Unix epoch; none before that, and none if there is no such day.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let (years, months) = match month {
        3..=12 => (year, month - 3),
        1..=2 => (year.checked_sub(1)?, month + 9),
        _ => return None,
    };
    let days = 365 * years + years / 4 - years / 100 + years / 400;
    let days = (days + (153 * months + 2) / 5 + day).checked_sub(719_469)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// The date of a day, counted from the Unix epoch. Years are taken to begin in March, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (era * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{parse, print};

    #[test]
    fn moments() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_795_752_503_123, "2026-11-27T04:08:23.123Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(print(millis, true), text);
            assert_eq!(parse(text), Some(millis), "{text}");
        }
        assert_eq!(print(1_795_752_503_123, false), "2026-11-27T04:08:23Z");
    }

    #[test]
    fn dates_as_people_write_them() {
        for (text, moment) in [
            ("2026-11-28", "2026-11-28T00:00:00.000Z"),
            ("2026-11-28 10:00", "2026-11-28T10:00:00.000Z"),
            ("2026-11-28 10:00:05", "2026-11-28T10:00:05.000Z"),
            ("2026-11-28T10:00Z", "2026-11-28T10:00:00.000Z"),
            ("2026-11-28t10:00:05.25z", "2026-11-28T10:00:05.250Z"),
            (
                "2026-11-28T10:00:05.123456+02:00",
                "2026-11-28T08:00:05.123Z",
            ),
            ("2026-11-28T23:30:00-01:30", "2026-11-29T01:00:00.000Z"),
        ] {
            let parsed = parse(text).map(|millis| print(millis, true));
            assert_eq!(parsed.as_deref(), Some(moment), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11",
            "2026-11-31",
            "2026-13-01",
            "2026-02-29",
            "26-11-28",
            "1969-12-31",
            "1970-01-01T00:00:00+01:00",
            "2026-11-28 ",
            "2026-11-28 10",
            "2026-11-28 24:00",
            "2026-11-28 10:60",
            "2026-11-28 10:00:05.",
            "2026-11-28 10:00+2",
            "2026-11-28 10:00 tomorrow",
            "+026-11-28",
            "2026-11-28 10:00:05.é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
