//! Wrong usage, in one line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use crate::argv;

/// What is wrong with the command line `args` of `command`, in the original's words where it has some.
pub(crate) fn explain(error: &Error, args: &[OsString], command: &Command) -> String {
    let argument = flag(&text(error, ContextKind::InvalidArg));
    let value = text(error, ContextKind::InvalidValue);
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!(
                "unknown command {:?} for \"fleetctl\"",
                text(error, ContextKind::InvalidSubcommand)
            )
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            format!("unexpected argument {argument:?}")
        }
        ErrorKind::UnknownArgument => format!("unknown flag: {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("flag needs an argument: {argument}")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("invalid argument {value:?} for {argument}{}", cause(error))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = text(error, ContextKind::InvalidArg);
            format!("missing {}", missing.trim_end_matches('.'))
        }
        _ => first_line(error),
    };
    format!(
        "Error: {what}{} Run '{}' for usage.",
        suggestion(error),
        manual(error, args, command)
    )
}

/// Where more is to be read: in the help of a command, if it is about one and about none of the global options.
fn manual(error: &Error, args: &[OsString], command: &Command) -> String {
    let flag = flag(&text(error, ContextKind::InvalidArg));
    let is_it = |arg: &Arg| {
        arg.get_long()
            .is_some_and(|long| flag == format!("--{long}"))
    };
    let mut globals = command.get_arguments().filter(|arg| arg.is_global_set());
    let unknown = error.kind() == ErrorKind::InvalidSubcommand;
    match argv::command_name(args, command) {
        Some(name) if !unknown && !globals.any(is_it) => format!("fleetctl help {name}"),
        _ => "fleetctl --help".to_owned(),
    }
}

/// The end of the sentence: what may have been meant.
fn suggestion(error: &Error) -> String {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    // `--l` is like every flag, and meant by nobody
    let words = kinds
        .iter()
        .map(|kind| text(error, *kind))
        .find(|word| word.len() > "--l".len());
    words.map_or(".".to_owned(), |words| format!("; did you mean {words}?"))
}

/// Why a value will not do: what its reader says, or which ones would.
fn cause(error: &Error) -> String {
    use std::error::Error as _;
    if let Some(cause) = error.source() {
        return format!(": {cause}");
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!(": expected one of {}", values.join(", "))
        }
        _ => String::new(),
    }
}

/// `--fields` of `--fields <FIELDS>`.
fn flag(argument: &str) -> String {
    argument
        .split([' ', '[', '='])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" or "),
        _ => String::new(),
    }
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
