//! What fleetctl is when it calls itself: ssh's master, and the program that ssh asks questions by.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use super::host_key;
use crate::output;

/// Says which helper a fleetctl is to be.
const VARIABLE: &str = "FLEETCTL_HELPER";
/// Who a master works for.
const PARENT: &str = "FLEETCTL_HELPER_OF";
const MASTER: &str = "ssh-master";
const ASKPASS: &str = "ssh-askpass";

/// The helper that this process is to be; it has done its work, or could not. None: this is fleetctl as users know it.
pub(crate) fn help_if_asked() -> Option<ExitCode> {
    match std::env::var(VARIABLE).ok()?.as_str() {
        MASTER => Some(become_master()),
        ASKPASS => Some(answer()),
        _ => None,
    }
}

/// `ssh`, to be given its arguments; it ends when this process does, however that ends.
/// `asks`: it puts the question about a host key to whoever writes on our stdin.
///
/// # Errors
/// When the system does not tell where this program lies.
pub(super) fn master(asks: bool) -> std::io::Result<Command> {
    let myself = std::env::current_exe()?;
    let mut command = Command::new(&myself);
    command.env(VARIABLE, MASTER);
    command.env(PARENT, std::process::id().to_string());
    // it reads the commands that we give to ssh, which are written for it
    command.env("SHELL", "/bin/sh");
    if asks {
        command.env("SSH_ASKPASS", myself);
        command.env("SSH_ASKPASS_REQUIRE", "force");
        // what is older than SSH_ASKPASS_REQUIRE wants a display, or what looks like one, and no terminal
        command.env(
            "DISPLAY",
            std::env::var_os("DISPLAY").unwrap_or(":0".into()),
        );
    }
    Ok(command)
}

fn become_master() -> ExitCode {
    // a master has no life of its own: it would be there for ever
    if let Err(error) = set_pdeathsig(Signal::SIGTERM) {
        output::warn(&format!("setting the parent's death signal: {error}"));
        return ExitCode::FAILURE;
    }
    if is_orphan() {
        return ExitCode::FAILURE;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut ssh = Command::new("ssh");
    ssh.args(arguments)
        .env_remove(PARENT)
        .env(VARIABLE, ASKPASS);
    let error = ssh.exec();
    output::warn(&format!("running ssh, OpenSSH's client: {error}"));
    ExitCode::FAILURE
}

/// Whether the parent ended before its death could become a signal.
fn is_orphan() -> bool {
    let parent = std::env::var(PARENT).ok().and_then(|pid| pid.parse().ok());
    parent.is_some_and(|pid| Pid::from_raw(pid) != getppid())
}

/// Asks on stderr what ssh wants to know, reads the answer from stdin, and gives it to ssh.
fn answer() -> ExitCode {
    let prompt = std::env::args().nth(1).unwrap_or_default();
    // anything else, such as a passphrase, is not for a line on stdin
    let Some(question) = host_key::question(&prompt) else {
        return ExitCode::FAILURE;
    };
    output::show(&question);
    let yes = read_line().is_ok_and(|line| host_key::is_yes(&line));
    // nobody has typed a line break
    output::show("\n");
    output::say(if yes { "yes" } else { "no" });
    ExitCode::SUCCESS
}

fn read_line() -> std::io::Result<String> {
    // Rust's own stdin reads ahead
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    host_key::one_line(std::fs::File::from(stdin))
}
