//! A unit file: its options in order, printed back as fleet prints them.

use std::collections::BTreeMap;
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
    /// Reads a unit file's bytes; the error names the line and what is wrong there.
    ///
    /// A value that ends in a backslash (a space stood behind it) is read as the original reads it, but does
    /// not survive printing; [`UnitFile::from_options`] tells.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        crate::parse::parse(bytes).map(|options| UnitFile { options })
    }

    /// A file of these options; refused if its printed form would not read back as the same
    /// options. The error's line is that of the printed form.
    pub fn from_options(options: Vec<UnitOption>) -> Result<Self, ParseError> {
        let file = UnitFile { options };
        crate::parse::check_round_trip(&file.blocks())?;
        Ok(file)
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

    /// The options by section, sections in order of first appearance.
    fn blocks(&self) -> Vec<(&str, Vec<&UnitOption>)> {
        let mut blocks: Vec<(&str, Vec<&UnitOption>)> = Vec::new();
        let mut places = BTreeMap::new();
        for option in &self.options {
            let section = option.section.as_str();
            let place = *places.entry(section).or_insert(blocks.len());
            if place == blocks.len() {
                blocks.push((section, Vec::new()));
            }
            blocks[place].1.push(option);
        }
        blocks
    }
}

/// The canonical form: one block a section, one empty line between blocks.
impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (section, options)) in self.blocks().into_iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{section}]")?;
            for option in options {
                writeln!(f, "{}={}", option.name, option.value)?;
            }
        }
        Ok(())
    }
}
