//! Booting a machine: systemd-nspawn started, and listened to until systemd in it has started everything.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{Machine, Process, root};

/// Far more than a boot takes, even of many machines on a busy host.
const LIMIT: Duration = Duration::from_secs(90);

/// A machine that is coming up.
#[derive(Debug)]
#[must_use = "a machine is of use when it is up: wait for it"]
pub(crate) struct Booting {
    machine: Machine,
    nspawn: Child,
    socket: UnixDatagram,
    deadline: Instant,
}

/// Starts the machine; its cable must be plugged in.
pub(crate) fn start(machine: &Machine) -> Result<Booting> {
    let socket = listen(machine)?;
    machine.cgroup.create()?;
    let console = File::create(machine.console()).context("opening the console's file")?;
    let mut command = command(machine);
    command
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    // in a process group of its own, or Ctrl-C on the lab's owner would reach the machine
    let nspawn = command
        .process_group(0)
        .spawn()
        .context("starting systemd-nspawn")?;
    Ok(Booting {
        machine: machine.clone(),
        nspawn,
        socket,
        deadline: Instant::now() + LIMIT,
    })
}

fn listen(machine: &Machine) -> Result<UnixDatagram> {
    let path = machine.notify_socket();
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("removing {}", path.display()));
    }
    let socket =
        UnixDatagram::bind(&path).with_context(|| format!("listening on {}", path.display()))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket)
}

fn command(machine: &Machine) -> Command {
    let folder = machine.root_folder();
    let own = folder.display();
    let mut command = machine.cgroup.command("systemd-nspawn");
    command.args([
        "--quiet",
        "--boot",
        "--keep-unit",
        "--register=no",
        "--notify-ready=yes",
        "--console=pipe",
    ]);
    command.args([
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--capability=CAP_NET_ADMIN",
    ]);
    command.arg(format!("--directory={own}"));
    // the host's programs, and over them whatever the machine has of its own
    let veil = machine.veil();
    command.arg(format!("--overlay=/usr:{}:{own}/usr:/usr", veil.display()));
    command.args(root::shared().map(|folder| format!("--bind-ro={folder}")));
    command.arg(format!("--machine={}", machine.full_name));
    command.arg(format!("--hostname={}", machine.name()));
    command.arg(format!("--uuid={}", machine.id()));
    command.arg(format!(
        "--network-namespace-path={}",
        machine.cable.path().display()
    ));
    // under version 1 systemd in a container is not told when the last process of a unit ends
    command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    command.env("NOTIFY_SOCKET", machine.notify_socket());
    command
}

impl Booting {
    /// Returns when systemd in the machine says it is ready: its default target is reached.
    pub(crate) fn wait(mut self) -> Result<()> {
        loop {
            let message = self.hear().with_context(|| self.failure())?;
            for line in message.lines() {
                if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                    self.note_leader(pid)?;
                }
                if line == "READY=1" {
                    return self.up();
                }
            }
        }
    }

    /// The next message of nspawn's, in the form of sd_notify(3).
    fn hear(&mut self) -> Result<String> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => return Ok(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                // interrupted is who was stopped and goes on, even where no signal has a handler (signal(7))
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    self.check_alive()?
                }
                Err(error) => return Err(error).context("listening to systemd-nspawn"),
            }
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.nspawn.try_wait()? {
            bail!("systemd-nspawn ended ({status})");
        }
        if Instant::now() >= self.deadline {
            bail!("not ready after {LIMIT:?}");
        }
        Ok(())
    }

    fn failure(&self) -> String {
        let console = fs::read(self.machine.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&console);
        let lines: Vec<_> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(20)..].join("\n  ");
        format!(
            "{} did not boot; the end of its console:\n  {end}",
            self.machine.name()
        )
    }

    fn note_leader(&self, pid: &str) -> Result<()> {
        let leader = pid.parse().ok().and_then(Process::of);
        self.machine
            .note_leader(leader.with_context(|| self.failure())?)
    }

    fn up(mut self) -> Result<()> {
        // somebody must collect nspawn's exit status one day
        thread::spawn(move || self.nspawn.wait());
        Ok(())
    }
}
