//! systemd unit names and unit files: parse, print, hash, specifiers.
//!
//! Pure: text in, values out. No clock, no I/O.

mod file;
mod hash;
mod kind;
mod name;
mod parse;
pub mod quote;
mod specifier;

pub use file::{UnitFile, UnitOption};
pub use hash::{Hash, HashError};
pub use kind::UnitType;
pub use name::{NameError, UnitName};
pub use parse::{MAX_LINE, ParseError, Problem};
pub use specifier::expand;
