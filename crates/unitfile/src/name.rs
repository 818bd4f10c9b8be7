//! Unit names: what systemd calls `foo@bar.service`, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::UnitType;
use crate::quote::{quoted, quoted_char};

/// The longest name, in bytes: the file system's limit for a file's name.
const MAX_LENGTH: usize = 255;

/// A valid unit name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

impl UnitName {
    /// Takes `name`; the error is the first rule that it breaks.
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

    /// The type that the suffix names.
    pub fn unit_type(&self) -> UnitType {
        // a name without a known suffix is never made
        UnitType::from_suffix(self.suffix()).unwrap_or(UnitType::Service)
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
        let template = format!("{}@.{}", self.prefix(), self.suffix());
        Some(UnitName(template.into()))
    }
}

/// The rules in the original's order, so that a name that breaks several gets the original's message.
/// The last one is ours: systemd refuses names without a prefix.
fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_LENGTH {
        return Err(NameError::TooLong);
    }
    let (stem, suffix) = name.rsplit_once('.').ok_or(NameError::NoDot)?;
    check_suffix(stem, suffix)?;
    if let Some(bad) = stem.chars().find(|&c| !is_allowed(c)) {
        return Err(NameError::BadCharacter(bad));
    }
    match stem.chars().next() {
        Some('@') => Err(NameError::StartsWithAt),
        Some(_) => Ok(()),
        None => Err(NameError::NoPrefix),
    }
}

fn check_suffix(stem: &str, suffix: &str) -> Result<(), NameError> {
    if suffix.is_empty() {
        return Err(NameError::EndsWithDot);
    }
    let unit_type = UnitType::from_suffix(suffix);
    let unit_type = unit_type.ok_or_else(|| NameError::UnknownType(suffix.to_owned()))?;
    if stem.contains('@') && !unit_type.has_templates() {
        return Err(NameError::NoTemplates(unit_type));
    }
    Ok(())
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || r":-_.\@".contains(c)
}

/// Why a text is no unit name. The messages are the original's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The empty string.
    #[error("unit name cannot be empty")]
    Empty,
    /// More bytes than a file's name may have. The original allows 256; such a file cannot be made.
    #[error("unit name exceeds maximum length ({MAX_LENGTH})")]
    TooLong,
    /// No `.`, so no type.
    #[error("unit name must contain \".\"")]
    NoDot,
    /// Nothing after the last `.`.
    #[error("unit name cannot end in \".\"")]
    EndsWithDot,
    /// Not a type that systemd loads from files.
    #[error("invalid unit type: {}", quoted(_0))]
    UnknownType(String),
    /// An `@` in the name of a unit whose type has no templates.
    #[error("invalid unit type for template: {}", quoted(_0.as_str()))]
    NoTemplates(UnitType),
    /// A character that names cannot have.
    #[error("invalid character {} in unit name", quoted_char(*_0))]
    BadCharacter(char),
    /// Nothing before the first `@`.
    #[error("unit name cannot start in \"@\"")]
    StartsWithAt,
    /// Nothing before the `.`.
    #[error("unit name cannot start in \".\"")]
    NoPrefix,
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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
