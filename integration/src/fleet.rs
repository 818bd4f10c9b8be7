//! Fleet on a machine of the lab: the programs as cargo built them, put in place by the script that sets up any machine.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell;

/// What to install: the folder with the programs, and the lines of fleet.conf.
#[derive(Debug, Clone)]
pub struct Fleet {
    programs: PathBuf,
    conf: Vec<String>,
}

impl Fleet {
    /// `fleetd` and `fleetctl` as cargo built them last, with an empty fleet.conf.
    ///
    /// They are looked for in `$CARGO_TARGET_DIR` (else `target` in the workspace), profile `$FLOTILLA_PROFILE` (else `debug`).
    ///
    /// # Errors
    /// They are not built.
    pub fn built() -> Result<Fleet> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace().join("target"), PathBuf::from);
        let profile = std::env::var("FLOTILLA_PROFILE").unwrap_or_else(|_| "debug".to_owned());
        Self::from_folder(target.join(profile))
    }

    /// The programs in that folder.
    ///
    /// # Errors
    /// They are not there.
    pub fn from_folder(programs: impl Into<PathBuf>) -> Result<Fleet> {
        let programs = programs.into();
        for program in ["fleetd", "fleetctl"] {
            let built = programs.join(program).exists();
            ensure!(
                built,
                "{program} is not in {}: `cargo build -p fleetd -p fleetctl` makes it",
                programs.display()
            );
        }
        Ok(Fleet {
            programs,
            conf: Vec::new(),
        })
    }

    /// Adds a line to fleet.conf: `agent_ttl="5s"`.
    #[must_use]
    pub fn conf(mut self, line: impl Into<String>) -> Fleet {
        self.conf.push(line.into());
        self
    }

    /// The folder with `fleetd` and `fleetctl`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Installs it on a root and has it start at boot. fleet.conf gets the machine's address unless it has one.
    pub(crate) fn install(&self, root: &Path, address: Ipv4Addr) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut script = Command::new("/bin/sh");
        script
            .arg(folder.join("setup-machine.sh"))
            .args(["--link", "--enable"]);
        script
            .arg("--root")
            .arg(root)
            .arg("--programs")
            .arg(&self.programs);
        script.arg("--unitfiles").arg(workspace().join("unitfiles"));
        for line in self.lines(address) {
            script.arg("--conf").arg(line);
        }
        shell::read(&mut script)
            .context("installing fleet")
            .map(drop)
    }

    fn lines(&self, address: Ipv4Addr) -> Vec<String> {
        let mut lines = self.conf.clone();
        if !lines
            .iter()
            .any(|line| line.trim_start().starts_with("public_ip"))
        {
            lines.push(format!("public_ip=\"{address}\""));
        }
        lines
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
