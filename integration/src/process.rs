//! A process, told apart from a later one with the same number.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process of this host: its number and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number, as the host counts.
    pub pid: i32,
    /// When it started, in clock ticks since the host booted (`starttime` of proc(5)).
    pub started: u64,
}

impl Process {
    /// The process that asks.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn current() -> Result<Process> {
        let pid = Pid::this().as_raw();
        Self::of(pid).with_context(|| format!("reading /proc/{pid}/stat"))
    }

    /// The process that has this number now, if one does and is no zombie.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the second field, the program's name, may hold blanks and brackets: what follows its last bracket is regular
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Process { pid, started })
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends it a signal; false if it is gone, and its number perhaps another's.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool> {
        if !self.is_alive() {
            return Ok(false);
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Err(Errno::ESRCH) => Ok(false),
            sent => sent
                .map(|()| true)
                .with_context(|| format!("sending {signal} to process {}", self.pid)),
        }
    }

    /// The name of its program, cut to 15 bytes as the kernel does.
    pub(crate) fn program(&self) -> Option<String> {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?;
        Some(name.trim_end().to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_lives_until_it_ends_and_its_successor_is_another() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = Process::of(child.id().try_into().unwrap()).unwrap();
        assert!(process.is_alive());
        assert!(
            !Process {
                started: process.started + 1,
                ..process
            }
            .is_alive()
        );

        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
