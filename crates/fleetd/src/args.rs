//! The command line: `fleetd [--config FILE] [--version]`.

use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run {
        /// The file of `--config`.
        config: Option<PathBuf>,
    },
    /// Print the version.
    Version,
    /// Print how to call it.
    Help,
}

/// What is wrong with a command line, and the exit code for it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// A word that is no flag.
    #[error("{0} takes no arguments. Did you mean to invoke fleetctl instead?\n{usage}", usage = usage(.0))]
    Argument(String),
    /// A flag nobody knows.
    #[error("flag provided but not defined: -{flag}\n{usage}", usage = usage(.program))]
    UnknownFlag {
        /// The flag, without dashes.
        flag: String,
        /// How fleetd was called.
        program: String,
    },
    /// `--config` at the end of the line.
    #[error("flag needs an argument: -config\n{usage}", usage = usage(.0))]
    NoFile(String),
    /// `--version=maybe`
    #[error("invalid boolean value {value:?} for -version: expected true or false\n{usage}", usage = usage(.program))]
    NotBoolean {
        /// The value.
        value: String,
        /// How fleetd was called.
        program: String,
    },
}

impl UsageError {
    /// The exit code: 1 for a word, 2 for a flag.
    pub fn exit_code(&self) -> u8 {
        match self {
            UsageError::Argument(_) => 1,
            _ => 2,
        }
    }
}

/// How to call `program`.
pub fn usage(program: &str) -> String {
    format!(
        "Usage of {program}:\n  -config string\n    \tPath to config file. fleetd reads {DEFAULT_CONFIG} without it, if it exists.\n  \
         -version\n    \tPrint the version and exit\n\nEvery option of the config file can be set as FLEET_<OPTION> in the environment."
    )
}

/// Read when `--config` is not given, if it exists.
pub const DEFAULT_CONFIG: &str = "/etc/fleet/fleet.conf";

/// Reads the command line, of which the first word is the program's name.
///
/// # Errors
/// A word or a flag that fleetd does not take.
pub fn parse(line: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut words = line.into_iter();
    let program = words.next().unwrap_or_else(|| "fleetd".into());
    let (mut config, mut version) = (String::new(), false);
    while let Some(word) = words.next() {
        let Some((flag, value)) = split_flag(&word) else {
            return match word.as_str() {
                "version" => Ok(Command::Version),
                _ => Err(UsageError::Argument(program)),
            };
        };
        match (flag, value.map(str::to_owned)) {
            ("config", value) => match value.or_else(|| words.next()) {
                Some(path) => config = path,
                None => return Err(UsageError::NoFile(program)),
            },
            ("version", value) => version = boolean(value.as_deref(), &program)?,
            ("h" | "help", _) => return Ok(Command::Help),
            (flag, _) => {
                return Err(UsageError::UnknownFlag {
                    flag: flag.into(),
                    program,
                });
            }
        }
    }
    let config = Some(config)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    Ok(if version {
        Command::Version
    } else {
        Command::Run { config }
    })
}

/// The name and the value of `--name=value`; one dash is as good as two.
fn split_flag(word: &str) -> Option<(&str, Option<&str>)> {
    let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    })
}

fn boolean(value: Option<&str>, program: &str) -> Result<bool, UsageError> {
    match value {
        None | Some("true" | "1" | "t") => Ok(true),
        Some("false" | "0" | "f") => Ok(false),
        Some(value) => Err(UsageError::NotBoolean {
            value: value.into(),
            program: program.into(),
        }),
    }
}
