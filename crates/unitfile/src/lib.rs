//! systemd unit names and unit files: parse, print, hash, specifiers.
//!
//! Pure: text in, values out. No clock, no I/O.

mod file;
mod hash;
mod name;
mod parse;
mod specifier;

pub use file::{UnitFile, UnitOption};
pub use hash::{Hash, HashError};
pub use name::{NameError, UnitName, UnitType};
pub use parse::{ParseError, Problem};
pub use specifier::expand;
