//! From arguments to units: known to the cluster, from a file here, or from a template.
//!
//! Everything is read and checked before anything is sent.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use fleet::v2::UnitStatus;
use fleet::{DesiredState, requirements};
use unitfile::{NameError, ParseError, UnitFile, UnitName};

use crate::client::{Client, ClientError};
use crate::names::Argument;
use crate::watch::Watch;
use crate::{output, poll};

/// A unit that a command is about.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// Its name.
    pub(crate) name: UnitName,
    /// Where it stands.
    pub(crate) status: UnitStatus,
    /// Whether it is to run on every machine that fits.
    pub(crate) global: bool,
    /// What has to be done first.
    pub(crate) action: Action,
}

/// What has to be done about a unit's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// The cluster gets this file: the unit is new, or replaced.
    Send(UnitFile),
    /// The cluster has it.
    Keep,
    /// It should have been replaced, and may not be: leave it alone.
    Refuse,
}

/// Why a unit cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocateError {
    /// No unit name.
    #[error("{text:?} is no unit")]
    Name {
        /// What was typed.
        text: String,
        /// Why it is none.
        source: NameError,
    },
    /// The API does not tell.
    #[error("error retrieving Unit({name}) from Registry")]
    Registry {
        /// The unit.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// A local file that cannot be read.
    #[error("failed getting Unit({text}) from file: reading {path:?}")]
    Read {
        /// What was typed.
        text: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A local file that is no unit file.
    #[error("failed getting Unit({text}) from file: {}", path.display())]
    Parse {
        /// What was typed.
        text: String,
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ParseError,
    },
    /// Neither here nor there.
    #[error("unable to find Unit({0}) in Registry or on filesystem")]
    NotFound(String),
    /// An instance without a template.
    #[error(
        "failed getting Unit({text}) from template: unable to find template Unit({template}) in Registry or on filesystem"
    )]
    NoTemplate {
        /// What was typed.
        text: String,
        /// The template.
        template: String,
    },
    /// `--replace` without anything to replace it by.
    #[error("error replacing Unit({0}): there is no local unit file for it")]
    NothingToReplaceBy(String),
    /// A file without a single option.
    #[error("failed creating unit {0}: unit does not exist and options field empty")]
    Empty(UnitName),
    /// An `[X-Fleet]` section that makes no sense.
    #[error("failed creating unit {name}")]
    Requirements {
        /// The unit.
        name: UnitName,
        /// Which rule it breaks.
        source: requirements::Invalid,
    },
}

/// Finds units for one command.
pub(crate) struct Locator<'a> {
    client: &'a Client,
    /// Up to which desired state `--replace` replaces; none without the flag.
    replace: Option<DesiredState>,
    /// Templates that the cluster was asked for.
    templates: HashMap<UnitName, Option<UnitFile>>,
}

impl<'a> Locator<'a> {
    /// `replace`: up to which desired state a unit whose file differs is replaced; none to warn only.
    pub(crate) fn new(client: &'a Client, replace: Option<DesiredState>) -> Self {
        Locator {
            client,
            replace,
            templates: HashMap::new(),
        }
    }

    /// Finds them all, and opens a watch on them.
    ///
    /// # Errors
    /// At the first one that cannot be had. Nothing has been changed then.
    pub(crate) async fn all(
        mut self,
        arguments: &[Argument],
    ) -> Result<(Vec<Located>, Watch), LocateError> {
        let names = arguments
            .iter()
            .map(parse_name)
            .collect::<Result<Vec<_>, _>>()?;
        let (watch, statuses) = self.statuses(&names).await?;
        let mut located = Vec::with_capacity(names.len());
        for ((argument, name), status) in arguments.iter().zip(names).zip(statuses) {
            let action = match status.exists {
                false => Action::Send(self.new_file(argument, &name).await?),
                true => self.compare(argument, &name, &status)?,
            };
            located.push(checked(name, status, action)?);
        }
        Ok((located, watch))
    }

    async fn statuses(&self, names: &[UnitName]) -> Result<(Watch, Vec<UnitStatus>), LocateError> {
        let texts = names.iter().map(ToString::to_string).collect();
        let first = names.first().map(ToString::to_string).unwrap_or_default();
        let failed = |source| LocateError::Registry {
            name: first,
            source,
        };
        match Watch::open(self.client.clone(), texts).await {
            Ok(mut watch) => watch
                .first()
                .await
                .map(|statuses| (watch, statuses))
                .map_err(failed),
            Err(source) => Err(failed(source)),
        }
    }

    /// The file of a unit that the cluster does not know: its own, or its template's.
    async fn new_file(
        &mut self,
        argument: &Argument,
        name: &UnitName,
    ) -> Result<UnitFile, LocateError> {
        if let Some(file) = read(argument, &argument.path)? {
            return Ok(file);
        }
        let template = name
            .template()
            .ok_or_else(|| LocateError::NotFound(name.to_string()))?;
        let beside = argument.beside(template.as_str());
        if let Some(known) = self.template(&template).await? {
            if let Ok(Some(local)) = read(argument, &beside) {
                warn_if_differs(
                    &template,
                    known.hash() != local.hash(),
                    "template unit",
                    &argument.path,
                );
            }
            return Ok(known);
        }
        let missing = || LocateError::NoTemplate {
            text: argument.text.clone(),
            template: template.to_string(),
        };
        read(argument, &beside)?.ok_or_else(missing)
    }

    /// The template as the cluster has it; asked for once.
    async fn template(&mut self, name: &UnitName) -> Result<Option<UnitFile>, LocateError> {
        if let Some(known) = self.templates.get(name) {
            return Ok(known.clone());
        }
        let unit = self.client.unit(name.as_str()).await;
        let unit = unit.map_err(|source| LocateError::Registry {
            name: name.to_string(),
            source,
        })?;
        let file = unit.as_ref().and_then(poll::file);
        self.templates.insert(name.clone(), file.clone());
        Ok(file)
    }

    /// What to do about a unit that the cluster knows, by the file that lies here.
    fn compare(
        &self,
        argument: &Argument,
        name: &UnitName,
        status: &UnitStatus,
    ) -> Result<Action, LocateError> {
        let differs = |file: &UnitFile| file.hash().to_string() != status.hash;
        let Some(limit) = self.replace else {
            match local_file(argument, name) {
                Ok((local, kind)) => warn_if_differs(
                    name,
                    local.as_ref().is_some_and(differs),
                    kind,
                    &argument.path,
                ),
                Err(error) => output::warn(&format!("WARNING: {:#}", anyhow::Error::new(error))),
            }
            return Ok(Action::Keep);
        };
        let (local, _) = local_file(argument, name)?;
        let file = local.ok_or_else(|| LocateError::NothingToReplaceBy(argument.text.clone()))?;
        Ok(match (differs(&file), replaceable(status, limit)) {
            (false, _) => keep_the_same(name),
            (true, true) => Action::Send(file),
            (true, false) => refuse(name, status),
        })
    }
}

fn parse_name(argument: &Argument) -> Result<UnitName, LocateError> {
    UnitName::parse(&argument.name).map_err(|source| LocateError::Name {
        text: argument.text.clone(),
        source,
    })
}

/// The file for a known unit, and what to call it: the unit's own, or else its template's.
fn local_file(
    argument: &Argument,
    name: &UnitName,
) -> Result<(Option<UnitFile>, &'static str), LocateError> {
    match (read(argument, &argument.path)?, name.template()) {
        (None, Some(template)) => {
            read(argument, &argument.beside(template.as_str())).map(|file| (file, "template unit"))
        }
        (own, _) => Ok((own, "unit")),
    }
}

/// A local unit file; none if there is no such file.
fn read(argument: &Argument, path: &Path) -> Result<Option<UnitFile>, LocateError> {
    let (text, path) = (argument.text.clone(), path.to_owned());
    match std::fs::read(&path) {
        Ok(bytes) => UnitFile::parse(&bytes)
            .map(Some)
            .map_err(|source| LocateError::Parse { text, path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LocateError::Read { text, path, source }),
    }
}

fn warn_if_differs(name: &UnitName, differs: bool, kind: &str, path: &Path) {
    if differs {
        output::warn(&format!(
            "WARNING: Unit {name} in registry differs from local {kind} file {}. Add --replace to override.",
            path.display()
        ));
    }
}

fn replaceable(status: &UnitStatus, limit: DesiredState) -> bool {
    status
        .desired_state
        .parse::<DesiredState>()
        .unwrap_or_default()
        <= limit
}

fn keep_the_same(name: &UnitName) -> Action {
    output::say(&format!(
        "Found same Unit({name}) in Registry, nothing to do"
    ));
    Action::Keep
}

fn refuse(name: &UnitName, status: &UnitStatus) -> Action {
    let state = &status.desired_state;
    output::warn(&format!(
        "Warning: can not replace Unit({name}) in state '{state}', use the appropriate command"
    ));
    Action::Refuse
}

/// The unit, if the file that is to be sent is fit for it.
fn checked(name: UnitName, status: UnitStatus, action: Action) -> Result<Located, LocateError> {
    let Action::Send(file) = &action else {
        return Ok(Located {
            name,
            global: status.global,
            status,
            action,
        });
    };
    if file.options().is_empty() {
        return Err(LocateError::Empty(name));
    }
    requirements::check(&name, file).map_err(|source| LocateError::Requirements {
        name: name.clone(),
        source,
    })?;
    let global = poll::is_global(name.as_str(), Some(file));
    Ok(Located {
        name,
        status,
        global,
        action,
    })
}
