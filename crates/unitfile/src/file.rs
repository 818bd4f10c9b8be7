//! A unit file: its options in order, printed back as fleet prints them.

use std::fmt;

use crate::{Hash, ParseError};

/// One `name=value` line under a `[section]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitOption {
    /// Section name, without brackets.
    pub section: String,
    /// Option name.
    pub name: String,
    /// Value as written; continuation lines keep their backslash and newline.
    pub value: String,
}

/// A unit file: ordered options; comments and layout are gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitFile {
    options: Vec<UnitOption>,
}

impl UnitFile {
    /// Reads a unit file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        crate::parse::parse(bytes).map(|options| UnitFile { options })
    }

    /// A file of these options; refused if it would not read back as the same options.
    pub fn from_options(options: Vec<UnitOption>) -> Result<Self, ParseError> {
        crate::parse::check_round_trip(&options)?;
        Ok(UnitFile { options })
    }

    /// All options, in file order.
    pub fn options(&self) -> &[UnitOption] {
        &self.options
    }

    /// The values of every `name=` line under `[section]`, in file order.
    pub fn values<'a>(&'a self, section: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.section(section)
            .filter(move |option| option.name == name)
            .map(|option| option.value.as_str())
    }

    /// The options under `[section]`, in file order.
    pub fn section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a UnitOption> {
        self.options
            .iter()
            .filter(move |option| option.section == section)
    }

    /// Whether the file has options under `[section]`.
    pub fn has_section(&self, section: &str) -> bool {
        self.section(section).next().is_some()
    }

    /// The identity of the content: SHA-1 of the printed form.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.to_string())
    }

    /// Section names in order of first appearance.
    fn sections(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for option in &self.options {
            if !names.contains(&option.section.as_str()) {
                names.push(&option.section);
            }
        }
        names
    }
}

/// The canonical form: one block a section, one empty line between blocks.
impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, section) in self.sections().into_iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{section}]")?;
            for option in self.section(section) {
                writeln!(f, "{}={}", option.name, option.value)?;
            }
        }
        Ok(())
    }
}
