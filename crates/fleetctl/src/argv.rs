//! Spellings that scripts use, turned into those that clap knows.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// The arguments with `-fields=x` written `--fields=x`, and without a lone `-` before the command.
/// What follows `--` stays as it is, and so does what `ssh` is to run.
pub(crate) fn normalise(args: impl Iterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let flags = Flags::of(std::iter::once(command).chain(command.get_subcommands()));
    let mut args: Vec<OsString> = args.collect();
    if args.get(1).is_some_and(|arg| arg == "-") {
        args.remove(1);
    }
    let mut args = set_apart(args, command);
    let end = args
        .iter()
        .position(|arg| arg == "--")
        .unwrap_or(args.len());
    for arg in args.iter_mut().take(end) {
        if let Some(long) = arg.to_str().and_then(|text| long_form(text, &flags)) {
            *arg = long.into();
        }
    }
    args
}

/// The name of the command that the arguments are for, be it cut short there.
pub(crate) fn command_name<'a>(args: &[OsString], command: &'a Command) -> Option<&'a str> {
    let flags = Flags::of(std::iter::once(command));
    meant(&args[command_word(args, &flags)?], command)
}

/// Puts `--` between the flags of `ssh` and its words, for the words may look like flags: `ssh MACHINE ls -l`.
///
/// After the first word only long flags are taken, as scripts of old have them there.
fn set_apart(mut args: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let Some(ssh) = command.find_subcommand("ssh") else {
        return args;
    };
    let flags = Flags::of([command, ssh].into_iter());
    let is_ssh = |at: &usize| meant(&args[*at], command) == Some("ssh");
    let Some(position) = command_word(&args, &flags).filter(is_ssh) else {
        return args;
    };
    let mut rest = args.split_off(position + 1).into_iter();
    let mut words: Vec<OsString> = Vec::new();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            words.extend(rest.by_ref());
        } else if flags.is_for_us(&arg, words.is_empty()) {
            let value = flags.wants_value(&arg).then(|| rest.next()).flatten();
            args.push(arg);
            args.extend(value);
        } else {
            words.push(arg);
        }
    }
    args.push("--".into());
    args.extend(words);
    args
}

/// Where the command stands among the arguments.
fn command_word(args: &[OsString], flags: &Flags) -> Option<usize> {
    let mut at = 1;
    while args.get(at)?.to_str()?.starts_with('-') {
        at += 1 + usize::from(flags.wants_value(&args[at]));
    }
    Some(at)
}

/// The command that a word names, or is short for and no other.
fn meant<'a>(word: &OsString, command: &'a Command) -> Option<&'a str> {
    let word = word.to_str().filter(|word| !word.is_empty())?;
    if let Some(named) = command.find_subcommand(word) {
        return Some(named.get_name());
    }
    let names = command.get_subcommands().map(Command::get_name);
    let mut meant = names.filter(|name| name.starts_with(word));
    meant.next().filter(|_| meant.next().is_none())
}

/// The flags of some commands; whether a value follows each.
struct Flags {
    long: HashMap<String, bool>,
    short: HashMap<char, bool>,
}

impl Flags {
    fn of<'a>(commands: impl Iterator<Item = &'a Command>) -> Self {
        let mut flags = Flags {
            long: HashMap::from([("help".to_owned(), false)]),
            short: HashMap::new(),
        };
        for arg in commands.flat_map(Command::get_arguments) {
            let value = takes_value(arg);
            let names = arg.get_long().into_iter();
            let names = names.chain(arg.get_all_aliases().into_iter().flatten());
            flags
                .long
                .extend(names.map(|name| (name.to_owned(), value)));
            flags
                .short
                .extend(arg.get_short().map(|name| (name, value)));
        }
        flags
    }

    /// `name` of `--name[=v]` and `-name[=v]`, if there is such a flag.
    fn long_name<'a>(&self, text: &'a str) -> Option<&'a str> {
        let dashed = text.strip_prefix('-')?;
        let name = dashed
            .strip_prefix('-')
            .unwrap_or(dashed)
            .split('=')
            .next()?;
        let is_long = name.len() > 1 || text.starts_with("--");
        (is_long && self.long.contains_key(name)).then_some(name)
    }

    /// Whether an argument of `ssh` is a flag of fleetctl's. After the first word less is.
    fn is_for_us(&self, arg: &OsString, before_words: bool) -> bool {
        let Some(text) = arg.to_str() else {
            return false;
        };
        let everyones = ["help", "version", "debug"];
        let named = self
            .long_name(text)
            .is_some_and(|name| !everyones.contains(&name));
        match before_words {
            true => text.starts_with('-') && text != "-",
            false => named && text.starts_with("--"),
        }
    }

    /// Whether the next argument is this one's value.
    fn wants_value(&self, arg: &OsString) -> bool {
        let Some(text) = arg.to_str().filter(|text| !text.contains('=')) else {
            return false;
        };
        match self.long_name(text) {
            Some(name) => self.long.get(name) == Some(&true),
            None => self.short_wants_value(text.trim_start_matches('-')),
        }
    }

    /// `-m`, and `-Am` for `-A -m`; but not `-mx`, which is `-m x`.
    fn short_wants_value(&self, letters: &str) -> bool {
        let mut letters = letters.chars();
        let first = letters.find(|letter| self.short.get(letter) == Some(&true));
        first.is_some() && letters.next().is_none()
    }
}

fn takes_value(arg: &Arg) -> bool {
    let optional = arg
        .get_num_args()
        .is_some_and(|count| count.min_values() == 0);
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !optional
}

/// `--name[=v]` of `-name[=v]`, if there is such a flag.
fn long_form(text: &str, flags: &Flags) -> Option<String> {
    let one_dash = !text.starts_with("--") && flags.long_name(text).is_some();
    one_dash.then(|| format!("-{text}"))
}

#[cfg(test)]
mod tests {
    use super::{command_name, normalise};
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
            "fleetctl ssh --unit=a -- journalctl -full"
        );
    }

    #[test]
    fn the_command_that_is_meant() {
        let meant = |line: &str| {
            let args: Vec<_> = line.split(' ').map(Into::into).collect();
            command_name(&args, &Cli::definition()).map(str::to_owned)
        };
        for (line, name) in [
            ("fleetctl list-m --colour", Some("list-machines")),
            ("fleetctl --endpoint drain d hello", Some("destroy")),
            ("fleetctl --colour start hello", Some("start")),
            ("fleetctl l", None),
            ("fleetctl --debug", None),
        ] {
            assert_eq!(meant(line).as_deref(), name, "{line}");
        }
    }

    #[test]
    fn a_lone_dash_before_the_command_is_skipped() {
        assert_eq!(normalised("fleetctl - list-units"), "fleetctl list-units");
    }
}
