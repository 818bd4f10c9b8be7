//! Reading the configuration: the file first, then the environment over it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Config, OPTIONS, RETIRED, file};

/// A configuration and what its owner should know about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Options without effect, one sentence each.
    pub warnings: Vec<String>,
}

/// Why fleetd does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file of `--config` cannot be read.
    #[error("Unable to use config file {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// `--config` names a directory.
    #[error("Provided config {} is a directory, not a file", .0.display())]
    Directory(PathBuf),
    /// A line that is no `option = value`.
    #[error("{}:{line}: {problem}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Values that make no sense; all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Values(Vec<BadValue>),
}

/// A value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    origin: Origin,
    option: String,
    value: String,
    problem: String,
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadValue {
            origin,
            option,
            value,
            problem,
        } = self;
        write!(
            f,
            "{origin}: option {option}: invalid value {value:?}: {problem}"
        )
    }
}

/// Where an option was set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    File(PathBuf, usize),
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
        }
    }
}

/// Reads the file if there is one, then lays `FLEET_*` of the environment over it.
///
/// # Errors
/// The file cannot be read, has a line that is no option, or some value makes no sense.
pub fn load(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let text = path.map(read).transpose()?;
    parse(path.zip(text.as_deref()), environment)
}

/// As [`load`], from a text already read; the path serves the messages.
///
/// # Errors
/// As [`load`].
pub fn parse(
    file: Option<(&Path, &str)>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut reader = Reader::default();
    if let Some((path, text)) = file {
        reader.take_file(path, text)?;
    }
    reader.take_environment(environment);
    reader.finish()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    if path.is_dir() {
        return Err(ConfigError::Directory(path.into()));
    }
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable {
        path: path.into(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Gathers options and everything that is wrong with them.
#[derive(Default)]
struct Reader {
    loaded: Loaded,
    bad: Vec<BadValue>,
}

impl Reader {
    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file = file::read(text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            line: error.line,
            problem: error.problem,
        })?;
        for setting in file.settings {
            let origin = Origin::File(path.into(), setting.line);
            self.take(origin, &setting.option, &setting.value);
        }
        for (line, option) in file.below_a_section {
            self.warn(format!(
                "{}:{line}: option {option} stands below a [section] and is ignored",
                path.display()
            ));
        }
        Ok(())
    }

    fn take_environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let mut found: Vec<(String, String)> = environment
            .filter(|(variable, _)| variable.starts_with("FLEET_"))
            .collect();
        found.sort();
        for (variable, value) in found {
            let option = variable["FLEET_".len()..].to_ascii_lowercase();
            self.take(Origin::Environment(variable), &option, &value);
        }
    }

    fn take(&mut self, origin: Origin, option: &str, value: &str) {
        if let Some((_, take)) = OPTIONS.iter().find(|(name, _)| *name == option) {
            if let Err(problem) = take(&mut self.loaded.config, value) {
                let (option, value) = (option.into(), value.into());
                self.bad.push(BadValue {
                    origin,
                    option,
                    value,
                    problem,
                });
            }
        } else if let Some((_, why)) = RETIRED.iter().find(|(name, _)| *name == option) {
            self.warn(format!("Config option {option} {why}"));
        } else {
            let hint =
                nearest(option).map_or(String::new(), |name| format!(": did you mean {name}?"));
            self.warn(format!(
                "{origin}: unknown option {option} is ignored{hint}"
            ));
        }
    }

    fn warn(&mut self, warning: String) {
        self.loaded.warnings.push(warning);
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        if self.bad.is_empty() {
            Ok(self.loaded)
        } else {
            Err(ConfigError::Values(self.bad))
        }
    }
}

/// The option whose name is at most three edits away.
fn nearest(word: &str) -> Option<&'static str> {
    let names = OPTIONS.iter().map(|(name, _)| *name);
    names
        .map(|name| (distance(word, name), name))
        .min()
        .filter(|(edits, _)| *edits <= 3)
        .map(|(_, name)| name)
}

/// Levenshtein distance, row by row.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let keep = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = keep.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
