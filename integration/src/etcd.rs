//! A real etcd beside the machines, and what may befall it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;
use crate::lab::PROGRAMS;
use crate::network::LabNetwork;
use crate::{Lab, shell, wait_for};

/// The lab's etcd: one member, its data in the lab's folder, its address the lab's own.
#[derive(Debug, Clone)]
pub struct Etcd {
    lab: String,
    network: LabNetwork,
    folder: PathBuf,
    cgroup: Cgroup,
}

impl Etcd {
    pub(crate) fn of(lab: &Lab) -> Etcd {
        let cgroup = Cgroup::of(lab.name(), "etcd");
        Etcd {
            lab: lab.name().to_owned(),
            network: lab.network(),
            folder: lab.folder().join("etcd"),
            cgroup,
        }
    }

    /// Where machines reach it.
    pub fn url(&self) -> String {
        format!("http://{}:2379", LabNetwork::ADDRESS)
    }

    /// Starts it on the data it has, and waits until it serves.
    ///
    /// # Errors
    /// It runs already, is not installed, or does not serve within 30 s.
    pub fn start(&self) -> Result<()> {
        ensure!(!self.is_running(), "etcd runs already");
        self.cgroup.create()?;
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("making {}", self.folder.display()))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .context("opening etcd's log")?;
        let mut etcd = self
            .server()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting etcd")?;
        let served = wait_for("etcd to serve", Duration::from_secs(30), || {
            match etcd.try_wait() {
                Ok(None) => self
                    .ctl(["endpoint", "health"])
                    .map(drop)
                    .map_err(|error| format!("{error:#}")),
                // there is nothing left to wait for: what follows tells
                Ok(Some(_)) | Err(_) => Ok(()),
            }
        });
        ensure!(
            self.is_running(),
            "etcd ended at once: see {}",
            self.log().display()
        );
        // somebody must collect its exit status one day
        thread::spawn(move || etcd.wait());
        served
    }

    fn server(&self) -> Command {
        let mut command = self.network.command(&self.cgroup, "etcd");
        command.arg("--data-dir").arg(self.folder.join("data"));
        let (url, peer) = (self.url(), format!("http://{}:2380", LabNetwork::ADDRESS));
        command.args(["--name", "lab", "--logger", "zap", "--log-level", "warn"]);
        command.args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ]);
        command.args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ]);
        command.args(["--initial-cluster", &format!("lab={peer}")]);
        command.process_group(0);
        command
    }

    /// Runs `etcdctl` on it, and returns what that printed.
    ///
    /// # Errors
    /// The command fails, for example because etcd is down.
    pub fn ctl<const N: usize>(&self, words: [&str; N]) -> Result<String> {
        let mut command = self
            .network
            .command(&Cgroup::of(&self.lab, PROGRAMS), "etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.url()])
            .args(words);
        shell::read(&mut command)
    }

    /// Whether its process is there.
    pub fn is_running(&self) -> bool {
        !self.cgroup.is_empty()
    }

    /// Ends it without warning (SIGKILL), and returns when it is gone.
    ///
    /// # Errors
    /// It would not end.
    pub fn kill(&self) -> Result<()> {
        self.cgroup.kill()
    }

    /// Ends it in good order (SIGTERM), and returns when it is gone.
    ///
    /// # Errors
    /// It takes longer than 30 s.
    pub fn stop(&self) -> Result<()> {
        self.cgroup
            .processes()
            .iter()
            .try_for_each(|process| process.signal(Signal::SIGTERM).map(drop))?;
        self.cgroup.wait_empty(Duration::from_secs(30))
    }

    /// Keeps a copy of its data, in place of an earlier one; it must be down.
    ///
    /// # Errors
    /// It runs, or the copy cannot be made.
    pub fn back_up(&self) -> Result<()> {
        self.copy("data", "backup")
    }

    /// Puts the copy in place of its data; it must be down.
    ///
    /// # Errors
    /// It runs, or there is no copy.
    pub fn restore(&self) -> Result<()> {
        self.copy("backup", "data")
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        ensure!(!self.is_running(), "etcd runs");
        let to = self.folder.join(to);
        if to.exists() {
            fs::remove_dir_all(&to).with_context(|| format!("removing {}", to.display()))?;
        }
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.folder.join(from)).arg(&to);
        shell::read(&mut copy).map(drop)
    }

    /// Stops it where it is: it takes connections and answers nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<()> {
        self.cgroup.freeze(true)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        self.cgroup.freeze(false)
    }

    /// What it has logged, of all its runs.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}
