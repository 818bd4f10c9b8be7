//! Wrong usage, in one line.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong with the command line, in the original's words where it has some.
pub(crate) fn explain(error: &Error) -> String {
    let argument = flag(&text(error, ContextKind::InvalidArg));
    let value = text(error, ContextKind::InvalidValue);
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!(
                "unknown command {:?} for \"fleetctl\"",
                text(error, ContextKind::InvalidSubcommand)
            )
        }
        ErrorKind::UnknownArgument => format!("unknown flag: {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("flag needs an argument: {argument}")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("invalid argument {value:?} for {argument}{}", cause(error))
        }
        ErrorKind::MissingRequiredArgument => {
            format!("missing {}", text(error, ContextKind::InvalidArg))
        }
        _ => first_line(error),
    };
    format!(
        "Error: {what}{} Run 'fleetctl --help' for usage.",
        suggestion(error)
    )
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

/// `--fields` of `--fields <FIELDS>`.
fn flag(argument: &str) -> String {
    argument
        .split([' ', '[', '='])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn cause(error: &Error) -> String {
    use std::error::Error as _;
    error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default()
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
