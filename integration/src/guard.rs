//! Nothing is left behind: how a lab ends when the process that made it does.
//!
//! 1. Dropping a [`Lab`](crate::Lab) takes it down, also when a test panics.
//! 2. A guard, a small process of its own, holds one end of a pipe. When its maker dies in whatever way (Ctrl-C,
//!    SIGKILL), the pipe closes and the guard takes the lab down.
//! 3. If the guard dies too, the next [`sweep`] finds a lab whose owner is gone.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::record::{self, Record};
use crate::shell;

const TEARDOWN: &str = include_str!("teardown.sh");

/// Takes down every lab whose owner is dead.
///
/// # Errors
/// The folder of labs cannot be read, or something of a lab would not go away.
pub fn sweep() -> Result<()> {
    let _lock = record::lock()?;
    let is_orphan = |record: &&Record| record.owner.is_some_and(|owner| !owner.is_alive());
    record::all()?
        .iter()
        .filter(is_orphan)
        .try_for_each(|record| tear_down(&record.name, &record.folder()))
}

/// Takes one lab down, whoever made it.
pub(crate) fn tear_down(name: &str, folder: &Path) -> Result<()> {
    let output = shell::run(&mut script(name, folder))?;
    let complaint = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "taking lab {name} down: {}",
        complaint.trim_end()
    );
    Ok(())
}

fn script(name: &str, folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", TEARDOWN, "teardown", name]).arg(folder);
    command
}

/// The process that outlives its maker to clean up.
#[derive(Debug)]
pub(crate) struct Guard {
    process: Child,
}

impl Guard {
    /// Starts the guard of a lab; from here on the lab ends with this process.
    pub(crate) fn watch(name: &str, folder: &Path) -> Result<Guard> {
        let mut command = script(name, folder);
        // in a process group of its own, or Ctrl-C would end it together with its maker
        command
            .arg("guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = command.spawn().context("starting the lab's guard")?;
        Ok(Guard { process })
    }

    /// Calls the guard off: the lab stays, or is gone already.
    pub(crate) fn release(mut self) -> Result<()> {
        if let Some(mut input) = self.process.stdin.take() {
            // a guard that is dead already does not listen
            let _ = input.write_all(b"keep\n");
        }
        self.process
            .wait()
            .context("waiting for the lab's guard")
            .map(drop)
    }
}
