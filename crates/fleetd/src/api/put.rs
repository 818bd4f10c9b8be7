//! What a `PUT` of a unit means: the rules, in the original's order, without the registry.
//!
//! One set of rules serves API v1 and v2. Where the original stored what it could not read again, or
//! asked for what cannot be, these rules refuse.

use axum::http::StatusCode;
use fleet::{DesiredState, requirements, v1};
use unitfile::{Hash, UnitFile, UnitName, UnitOption};

use super::error::ApiError;

/// Bytes of the largest unit file: etcd takes requests of 1.5 MiB, and its quotes and line ends grow on the way.
const FILE_LIMIT: usize = 1024 * 1024;

/// What a request asks for; as far as that can be judged from the request alone, it is sound.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) name: UnitName,
    options: Vec<UnitOption>,
    desired: String,
}

/// What to write, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    /// A new unit, or a new file for an old one.
    File(Hash, UnitFile, DesiredState),
    /// Another desired state; the file stays.
    State(Hash, DesiredState),
}

impl Write {
    /// The status that tells of success.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Write::File(..) => StatusCode::CREATED,
            Write::State(..) => StatusCode::NO_CONTENT,
        }
    }
}

impl Wish {
    /// Reads a request's unit; `url` is the name in the request's path, if it has one there.
    pub(super) fn read(url: Option<&str>, unit: v1::Unit) -> Result<Wish, ApiError> {
        let name = url.unwrap_or(&unit.name);
        if !unit.name.is_empty() && unit.name != name {
            return Err(ApiError::bad_request(format!(
                "name in URL {name:?} differs from unit name in request body {:?}",
                unit.name
            )));
        }
        Ok(Wish {
            name: UnitName::parse(name).map_err(ApiError::bad_request)?,
            options: unit.options.into_iter().map(option).collect(),
            desired: unit.desired_state,
        })
    }

    /// What to write, given the file that the unit has if it exists.
    pub(super) fn decide(&self, stored: Option<Hash>) -> Result<Write, ApiError> {
        match stored {
            None if self.options.is_empty() => Err(ApiError::conflict(
                "unit does not exist and options field empty",
            )),
            Some(stored) if self.keeps_file(stored) => self.new_state(stored),
            _ => self.new_file(),
        }
    }

    fn keeps_file(&self, stored: Hash) -> bool {
        self.options.is_empty() || hash(&self.options) == Some(stored)
    }

    fn new_file(&self) -> Result<Write, ApiError> {
        let file = UnitFile::from_options(self.options.clone()).map_err(ApiError::bad_request)?;
        check_size(&file)?;
        requirements::check(&self.name, &file).map_err(ApiError::bad_request)?;
        let desired = match self.desired.as_str() {
            "" => DesiredState::Inactive,
            _ => self.desired_state()?,
        };
        Ok(Write::File(file.hash(), file, desired))
    }

    fn new_state(&self, stored: Hash) -> Result<Write, ApiError> {
        if self.desired.is_empty() {
            let message = "must provide DesiredState to update existing unit";
            return Err(ApiError::conflict(message));
        }
        Ok(Write::State(stored, self.desired_state()?))
    }

    fn desired_state(&self) -> Result<DesiredState, ApiError> {
        let desired = self.desired.parse().map_err(ApiError::bad_request)?;
        if self.name.is_template() && desired != DesiredState::Inactive {
            let message = format!("cannot activate template {:?}", self.name.as_str());
            return Err(ApiError::bad_request(message));
        }
        Ok(desired)
    }
}

fn check_size(file: &UnitFile) -> Result<(), ApiError> {
    let size = file.to_string().len();
    if size <= FILE_LIMIT {
        return Ok(());
    }
    let message = format!("the unit file has {size} bytes, the registry takes {FILE_LIMIT}");
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
}

fn hash(options: &[UnitOption]) -> Option<Hash> {
    let file = UnitFile::from_options(options.to_vec()).ok()?;
    Some(file.hash())
}

fn option(option: v1::UnitOption) -> UnitOption {
    UnitOption {
        section: option.section,
        name: option.name,
        value: option.value,
    }
}
