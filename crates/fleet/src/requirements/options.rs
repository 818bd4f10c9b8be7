//! The options of `[X-Fleet]` that the original does not have. Its fleetd ignores them with a warning.

use super::{Demand, Expression, Invalid, Section, WEIGHT};
use crate::Resources;
use crate::resources::{parse_cpu, parse_memory};

pub(super) const CONSTRAINT: &str = "Constraint";
pub(super) const PREFER: &str = "Prefer";
pub(super) const AVOID: &str = "Avoid";
pub(super) const SPREAD: &str = "Spread";
pub(super) const AVOID_UNITS: &str = "AvoidUnits";
pub(super) const MAX_PER_MACHINE: &str = "MaxPerMachine";
pub(super) const MEMORY_RESERVATION: &str = "MemoryReservation";
pub(super) const CPU_RESERVATION: &str = "CPUReservation";
pub(super) const STICKY: &str = "Sticky";
pub(super) const MOVE_DELAY: &str = "MoveDelaySec";
pub(super) const FENCE: &str = "Fence";
pub(super) const MOVE_ORDER: &str = "MoveOrder";
pub(super) const RESCHEDULE_AFTER: &str = "RescheduleAfter";

/// systemd's own limits, in the order in which they stand for a reservation that is not given.
const MEMORY_LIMITS: [&str; 2] = ["MemoryHigh", "MemoryMax"];
const CPU_LIMIT: &str = "CPUQuota";

const STOP_FIRST: &str = "stop-first";
const START_FIRST: &str = "start-first";

/// Sections in which systemd takes limits.
const LIMITED: [&str; 6] = ["Service", "Socket", "Mount", "Swap", "Slice", "Scope"];

impl Section<'_> {
    pub(super) fn demand(&self) -> Demand {
        let preferred = self.weighted(PREFER).map(|(weight, text)| (-weight, text));
        let preferences = preferred.chain(self.weighted(AVOID));
        let preferences =
            preferences.filter_map(|(weight, text)| Some((weight, Expression::parse(&text).ok()?)));
        let constraints = self.values(CONSTRAINT);
        Demand {
            metadata: self.metadata(),
            constraints: constraints
                .filter_map(|text| Expression::parse(&text).ok())
                .collect(),
            preferences: preferences.collect(),
            spread: self.weighted_texts(SPREAD),
        }
    }

    pub(super) fn weighted_texts(&self, key: &str) -> Vec<(i32, String)> {
        self.weighted(key).collect()
    }

    pub(super) fn max_per_machine(&self) -> Option<u32> {
        self.last(MAX_PER_MACHINE)?.parse().ok()
    }

    pub(super) fn reschedule_after(&self) -> Option<u32> {
        let value = self.last(RESCHEDULE_AFTER)?.parse().ok()?;
        Some(value).filter(|value| *value > 0)
    }

    pub(super) fn start_first(&self) -> bool {
        self.last(MOVE_ORDER)
            .is_some_and(|order| order == START_FIRST)
    }

    pub(super) fn move_delay(&self) -> u64 {
        let value = self.last(MOVE_DELAY);
        value.and_then(|value| parse_seconds(&value)).unwrap_or(0)
    }

    pub(super) fn reservation(&self) -> Resources {
        let memory = self.last(MEMORY_RESERVATION);
        let memory = memory.and_then(|value| parse_memory(&value));
        let limits = || {
            MEMORY_LIMITS
                .iter()
                .find_map(|key| self.limit(key, parse_memory))
        };
        let cpu = self.last(CPU_RESERVATION);
        let cpu = cpu.and_then(|value| parse_cpu(&value));
        Resources {
            memory: memory.or_else(limits).unwrap_or(0),
            cpu: cpu
                .or_else(|| self.limit(CPU_LIMIT, parse_cpu))
                .unwrap_or(0),
        }
    }

    /// What systemd holds the unit to; nothing for `infinity`, or a share of whatever the machine has.
    fn limit(&self, key: &str, parse: fn(&str) -> Option<u64>) -> Option<u64> {
        let values = LIMITED
            .iter()
            .flat_map(|section| self.file.values(section, key));
        parse(&self.expanded(values.last()?))
    }

    /// Every line of `key`, each as a whole: unlike the original's options, these take no quotes.
    fn values<'s>(&'s self, key: &'s str) -> impl Iterator<Item = String> + 's {
        let lines = self.file.values(super::SECTION, key);
        lines.map(|line| self.expanded(line.trim()))
    }

    fn last(&self, key: &str) -> Option<String> {
        self.values(key).last()
    }

    fn weighted<'s>(&'s self, key: &'s str) -> impl Iterator<Item = (i32, String)> + 's {
        self.values(key).map(|value| {
            let (weight, text) = weight_and_text(&value);
            (weight, text.to_owned())
        })
    }
}

/// `80 zone=a`, or `zone=a` with the usual weight.
fn weight_and_text(value: &str) -> (i32, &str) {
    let parts = value.split_once(char::is_whitespace);
    let parts = parts.and_then(|(weight, text)| Some((weight.parse().ok()?, text.trim())));
    parts.unwrap_or((WEIGHT, value))
}

/// The first value that is not what its option takes. A template's specifiers are not known yet.
pub(super) fn check(section: &Section<'_>) -> Result<(), Invalid> {
    if section.name.is_none() {
        return Ok(());
    }
    for key in [PREFER, AVOID, SPREAD, AVOID_UNITS] {
        check_weights(section, key)?;
    }
    for key in [CONSTRAINT, PREFER, AVOID] {
        check_expressions(section, key)?;
    }
    let memory = |value: &str| parse_memory(value).is_some();
    let cpu = |value: &str| parse_cpu(value).is_some();
    let count = |value: &str| value.parse().is_ok_and(|max: u32| max > 0);
    let seconds = |value: &str| parse_seconds(value).is_some();
    check_values(section, MEMORY_RESERVATION, memory, "a size such as 512M")?;
    check_values(section, CPU_RESERVATION, cpu, "a share such as 50%")?;
    for key in [MAX_PER_MACHINE, RESCHEDULE_AFTER] {
        check_values(section, key, count, "a number from 1")?;
    }
    check_values(section, MOVE_DELAY, seconds, "a time such as 90 or 5min")?;
    let order = |value: &str| [STOP_FIRST, START_FIRST].contains(&value);
    check_values(section, MOVE_ORDER, order, "stop-first or start-first")?;
    for key in [STICKY, FENCE] {
        check_values(section, key, is_boolean, "yes or no")?;
    }
    Ok(())
}

fn check_weights(section: &Section<'_>, key: &'static str) -> Result<(), Invalid> {
    let fits = |value: &str| {
        let (weight, text) = weight_and_text(value);
        (1..=100).contains(&weight) && !text.is_empty()
    };
    check_values(
        section,
        key,
        fits,
        "a weight from 1 to 100, or none, and what it is about",
    )
}

fn check_expressions(section: &Section<'_>, key: &'static str) -> Result<(), Invalid> {
    for value in section.values(key) {
        let text = match key {
            CONSTRAINT => &value,
            _ => weight_and_text(&value).1,
        };
        if let Err(error) = Expression::parse(text) {
            return Err(Invalid::Expression {
                option: key,
                value,
                error,
            });
        }
    }
    Ok(())
}

fn check_values(
    section: &Section<'_>,
    key: &'static str,
    fits: impl Fn(&str) -> bool,
    expected: &'static str,
) -> Result<(), Invalid> {
    let bad = section.values(key).find(|value| !fits(value));
    bad.map_or(Ok(()), |value| {
        Err(Invalid::Value {
            option: key,
            value,
            expected,
        })
    })
}

fn is_boolean(value: &str) -> bool {
    let no = ["false", "no", "0", "off", "f"];
    super::is_true(value) || no.contains(&value.to_lowercase().as_str())
}

/// A time as systemd takes it, in whole seconds: `90`, `5min`, `1h 30min`.
pub fn parse_seconds(text: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let tail = rest[digits..].trim_start();
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let unit = match &tail[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = tail[letters..].trim_start();
    }
    (!text.trim().is_empty()).then_some(seconds)
}

/// So many seconds as [`parse_seconds`] reads them: `1h 30min`.
pub fn print_seconds(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    match parts.is_empty() {
        true => "0s".to_owned(),
        false => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_seconds, print_seconds};

    #[test]
    fn times_are_read_as_they_are_printed() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "1min 30s"),
            (600, "10min"),
            (5_400, "1h 30min"),
            (2_592_000, "30d"),
            (90_061, "1d 1h 1min 1s"),
        ] {
            assert_eq!(print_seconds(seconds), text);
            assert_eq!(parse_seconds(text), Some(seconds));
        }
    }
}
