//! Reads the values of options: Go's durations and booleans, lists, metadata.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Go's units of time, in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration as Go's `time.ParseDuration` reads it, such as `1m30s`; negative ones are refused.
///
/// # Errors
/// Go's message.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || format!("time: invalid duration {text:?}");
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let (number, tail) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let (unit, tail) = split_where(tail, |c| c.is_ascii_digit() || c == '.');
        nanoseconds += number * unit_length(unit, text)?;
        rest = tail;
    }
    if nanoseconds >= i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

fn unit_length(unit: &str, text: &str) -> Result<f64, String> {
    if unit.is_empty() {
        return Err(format!("time: missing unit in duration {text:?}"));
    }
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    found
        .map(|(_, length)| *length)
        .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// A machine's time to live: etcd counts leases in seconds, so less than one makes no sense.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text)?;
    if ttl < Duration::from_secs(1) {
        return Err("must be at least 1s".into());
    }
    Ok(ttl)
}

/// Go's booleans; `yes` and `on` were read as false by the original, so they are refused.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// A decimal integer, or a hexadecimal one after `0x`.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "expected an integer".into())
}

/// The size of a page; tokens hold it in 16 bits.
pub(super) fn page(text: &str) -> Result<u16, String> {
    let size = integer(text)?;
    match u16::try_from(size) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(format!("must be between 1 and {}", u16::MAX)),
    }
}

/// The longest time that makes sense, in seconds: 30 years. Clocks cannot count up to the longest that can be written.
const LONGEST: f64 = 1e9;

/// Seconds with decimals.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds, such as 1.5".to_owned())?;
    if seconds > LONGEST {
        return Err(format!("must not be more than {LONGEST}"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "must not be negative".into())
}

/// Seconds with decimals, above zero.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text)?;
    if interval.is_zero() {
        return Err("must be above zero".into());
    }
    Ok(interval)
}

/// A share in percent.
pub(super) fn percent(text: &str) -> Result<u32, String> {
    let percent = text.parse().ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| "expected a number from 0 to 100".to_owned())
}

/// `a,b` or `["a", "b"]`.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|item| {
            item.trim_start_matches([' ', '[', '"'])
                .trim_end_matches([' ', '"', ']'])
        })
        .map(str::to_owned)
        .collect()
}

/// A list of [`url`]s.
pub(super) fn urls(text: &str) -> Result<Vec<String>, String> {
    list(text).iter().map(|item| url(item)).collect()
}

/// `http://host:port` or `https://host:port`.
pub(super) fn url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| {
            format!("{text:?} is no URL: expected http://host:port or https://host:port")
        })?;
    if host.is_empty() {
        return Err(format!("{text:?} names no host"));
    }
    Ok(text.to_owned())
}

/// `key=value,key=value`; what has no `=` is dropped, the last of several values counts.
pub(super) fn metadata(text: &str) -> BTreeMap<String, String> {
    text.split(',')
        .filter_map(|item| item.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// A file's path; empty means none.
pub(super) fn file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(PathBuf::from))
}

/// An absolute path.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("expected an absolute path".into())
    }
}

/// A key prefix, with the slashes around it that may be missing.
pub(super) fn prefix(text: &str) -> String {
    match text.trim_matches('/') {
        "" => "/".to_owned(),
        path => format!("/{path}/"),
    }
}
