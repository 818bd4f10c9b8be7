//! Memory and processors: what machines have and what units reserve.

use std::fmt;

/// An amount of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources {
    /// In bytes; for a machine, 0 if nobody knows.
    pub memory: u64,
    /// In thousandths of a processor; for a machine, 0 if nobody knows.
    pub cpu: u64,
}

impl Resources {
    /// Whether nothing is reserved.
    pub fn is_none(self) -> bool {
        self == Resources::default()
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Resources) -> Resources {
        Resources {
            memory: self.memory.saturating_add(other.memory),
            cpu: self.cpu.saturating_add(other.cpu),
        }
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Resources) -> Resources {
        Resources {
            memory: self.memory.saturating_sub(other.memory),
            cpu: self.cpu.saturating_sub(other.cpu),
        }
    }

    /// How much of a machine's `capacity` this is, in percent, by what it takes most of; at most 100.
    pub fn percent_of(self, capacity: Resources) -> u32 {
        let share = |part: u64, whole: u64| match whole {
            0 => 0,
            whole => (u128::from(part) * 100 / u128::from(whole)).min(100),
        };
        let most = share(self.memory, capacity.memory).max(share(self.cpu, capacity.cpu));
        u32::try_from(most).unwrap_or(100)
    }
}

/// Sizes as systemd takes them: `512M`, `1.5G`; bytes without a suffix. None for anything else, percentages included.
pub fn parse_memory(text: &str) -> Option<u64> {
    const SUFFIXES: &str = "BKMGTPE";
    let text = text.trim();
    let (number, power) = match text.char_indices().next_back() {
        Some((at, suffix)) if suffix.is_ascii_alphabetic() => {
            (&text[..at], SUFFIXES.find(suffix.to_ascii_uppercase())?)
        }
        _ => (text, 0),
    };
    let number: f64 = number.trim().parse().ok()?;
    let factor = (1_u64 << (10 * power)) as f64;
    (number >= 0.0 && number.is_finite()).then_some((number * factor) as u64)
}

/// Shares of processors as systemd's `CPUQuota=` takes them: `50%` is half a processor, `200%` two. In thousandths.
pub fn parse_cpu(text: &str) -> Option<u64> {
    let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
    (percent >= 0.0 && percent.is_finite()).then_some((percent * 10.0).round() as u64)
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = (self.memory > 0).then(|| format!("{} of memory", told_memory(self.memory)));
        let cpu = (self.cpu > 0).then(|| format!("{}% of a processor", self.cpu as f64 / 10.0));
        let told: Vec<String> = memory.into_iter().chain(cpu).collect();
        match told.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&told.join(" and ")),
        }
    }
}

/// `512M`, `1.5G`.
fn told_memory(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P"];
    let mut amount = bytes as f64;
    let mut at = 0;
    while amount >= 1024.0 && at + 1 < units.len() {
        amount /= 1024.0;
        at += 1;
    }
    let told = format!("{amount:.1}");
    format!("{}{}", told.strip_suffix(".0").unwrap_or(&told), units[at])
}
