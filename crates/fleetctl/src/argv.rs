//! Spellings that scripts use, turned into those that clap knows.

use std::collections::HashSet;
use std::ffi::OsString;

use clap::Command;

/// The arguments with `-fields=x` written `--fields=x`, and without a lone `-` before the command.
/// What follows `--` stays as it is, and so does the command that `ssh` is to run.
pub(crate) fn normalise(args: impl Iterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let flags = long_flags(command);
    let mut args: Vec<OsString> = args.collect();
    if args.get(1).is_some_and(|arg| arg == "-") {
        args.remove(1);
    }
    let end = end_of_flags(&args);
    for arg in args.iter_mut().take(end) {
        if let Some(long) = arg.to_str().and_then(|text| long_form(text, &flags)) {
            *arg = long.into();
        }
    }
    args
}

/// Where words begin that are nobody's flags.
fn end_of_flags(args: &[OsString]) -> usize {
    let is_word = |arg: &OsString| !arg.as_encoded_bytes().starts_with(b"-");
    let ssh = args.iter().position(|arg| arg == "ssh");
    let word = ssh.and_then(|ssh| {
        let after = args.iter().skip(ssh + 1).position(is_word)?;
        Some(ssh + 1 + after)
    });
    let dashes = args.iter().position(|arg| arg == "--");
    dashes.into_iter().chain(word).min().unwrap_or(args.len())
}

/// `--name[=v]` of `-name[=v]`, if there is such a flag.
fn long_form(text: &str, flags: &HashSet<String>) -> Option<String> {
    let name = text.strip_prefix('-')?.split('=').next()?;
    (name.len() > 1 && flags.contains(name)).then(|| format!("-{text}"))
}

fn long_flags(command: &Command) -> HashSet<String> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let flags = commands.flat_map(Command::get_arguments);
    let mut names: HashSet<String> = flags
        .flat_map(|flag| {
            flag.get_long_and_visible_aliases()
                .into_iter()
                .flatten()
                .map(str::to_owned)
        })
        .collect();
    names.insert("help".to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use crate::args::Cli;

    fn normalised(line: &str) -> String {
        let args = line.split(' ').map(Into::into);
        let args = normalise(args, &Cli::definition());
        args.iter()
            .map(|arg| arg.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn long_flags_with_one_dash() {
        assert_eq!(
            normalised("fleetctl list-units -no-legend -fields=unit"),
            "fleetctl list-units --no-legend --fields=unit"
        );
        assert_eq!(
            normalised("fleetctl -endpoint=x start a -block-attempts -1"),
            "fleetctl --endpoint=x start a --block-attempts -1"
        );
    }

    #[test]
    fn what_stays_as_it_is() {
        assert_eq!(
            normalised("fleetctl list-units -l"),
            "fleetctl list-units -l"
        );
        assert_eq!(normalised("fleetctl cat -- -full"), "fleetctl cat -- -full");
        assert_eq!(normalised("fleetctl -nonsense"), "fleetctl -nonsense");
        assert_eq!(
            normalised("fleetctl ssh -unit=a journalctl -full"),
            "fleetctl ssh --unit=a journalctl -full"
        );
    }

    #[test]
    fn a_lone_dash_before_the_command_is_skipped() {
        assert_eq!(normalised("fleetctl - list-units"), "fleetctl list-units");
    }
}
