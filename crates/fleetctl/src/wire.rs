//! Unit files as the API carries them: lists of options.

use fleet::v1;
use unitfile::{ParseError, UnitFile, UnitOption};

/// The unit file of a unit.
///
/// # Errors
/// What the server has is no unit file.
pub(crate) fn file(unit: &v1::Unit) -> Result<UnitFile, ParseError> {
    let option = |option: &v1::UnitOption| UnitOption {
        section: option.section.clone(),
        name: option.name.clone(),
        value: option.value.clone(),
    };
    UnitFile::from_options(unit.options.iter().map(option).collect())
}

/// What is sent of a file.
pub(crate) fn options(file: &UnitFile) -> Vec<v1::UnitOption> {
    let option = |option: &UnitOption| v1::UnitOption {
        name: option.name.clone(),
        section: option.section.clone(),
        value: option.value.clone(),
    };
    file.options().iter().map(option).collect()
}
