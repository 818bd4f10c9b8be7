//! What may befall a machine: loss of power, a cut cable, programs that hang.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::{Machine, Process};

impl Machine {
    /// Loss of power: no program gets to say a word, and neither does the kernel on its behalf.
    ///
    /// # Errors
    /// Its processes would not end.
    pub fn kill(&self) -> Result<()> {
        self.cable.unplug()?;
        self.cgroup.kill()
    }

    /// Shuts it down in good order, and returns when it is off.
    ///
    /// # Errors
    /// It is off already, or takes longer than 100 s (systemd grants a unit 90 s).
    pub fn poweroff(&self) -> Result<()> {
        self.read(["systemctl", "--no-block", "poweroff"])?;
        self.cgroup.wait_empty(Duration::from_secs(100))?;
        self.cable.unplug()
    }

    /// Pulls its network cable: nothing gets in or out, and no end of a connection is told.
    ///
    /// # Errors
    /// The machine is off.
    pub fn cut(&self) -> Result<()> {
        self.cable.connect(false)
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// The machine is off.
    pub fn heal(&self) -> Result<()> {
        self.cable.connect(true)
    }

    /// Stops a program where it is (SIGSTOP): alive, but it does nothing. Returns how many processes of that name there were.
    ///
    /// # Errors
    /// No process of that name runs.
    pub fn freeze(&self, program: &str) -> Result<usize> {
        self.signal(program, Signal::SIGSTOP)
    }

    /// Lets a frozen program go on (SIGCONT).
    ///
    /// # Errors
    /// No process of that name runs.
    pub fn thaw(&self, program: &str) -> Result<usize> {
        self.signal(program, Signal::SIGCONT)
    }

    /// Sends a signal to every process of a program, and returns how many there were.
    ///
    /// # Errors
    /// No process of that name runs.
    pub fn signal(&self, program: &str, signal: Signal) -> Result<usize> {
        let mut reached = 0;
        for process in self.processes(program) {
            // one that ends just now is none any more
            reached += usize::from(process.signal(signal)?);
        }
        ensure!(reached > 0, "no process {program} runs on {}", self.name());
        Ok(reached)
    }

    /// The processes of a program in the machine, by the host's numbers.
    pub fn processes(&self, program: &str) -> Vec<Process> {
        // the kernel keeps 15 bytes of a program's name
        let short = &program.as_bytes()[..program.len().min(15)];
        let is_it = |process: &Process| {
            process
                .program()
                .is_some_and(|name| name.as_bytes() == short)
        };
        self.cgroup.processes().into_iter().filter(is_it).collect()
    }

    /// Stops the whole machine where it is, as a hypervisor pauses a guest; its clock goes on.
    ///
    /// # Errors
    /// The machine is off.
    pub fn pause(&self) -> Result<()> {
        self.cgroup.freeze(true)
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// The machine is off.
    pub fn resume(&self) -> Result<()> {
        self.cgroup.freeze(false)
    }
}
