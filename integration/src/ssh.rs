//! SSH in the lab: servers on the machines, and an operator beside them who has a key.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Lab, Machine, shell, wait_for};

/// The user that fleet's people log in as, and its number.
const USER: (&str, u32) = ("core", 500);

/// Groups that let the user do what CoreOS let it do: read the journal, talk to fleetd.
const GROUPS: [&str; 2] = ["systemd-journal", "fleet"];

const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";
const SERVER: &str =
    "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nPasswordAuthentication no\n";

/// Somebody beside the machines, with a home folder, an SSH key and an agent that holds it.
#[derive(Debug)]
pub struct Operator<'lab> {
    lab: &'lab Lab,
    home: PathBuf,
    programs: PathBuf,
    agent: Child,
}

impl Lab {
    /// Lets root on each machine that is up log in on all of them, so that `fleetctl ssh`, `status` and `journal` work
    /// there as people expect.
    ///
    /// # Errors
    /// A key cannot be made, or a server does not start.
    pub fn open_machines(&self) -> Result<()> {
        let folder = self.folder().join("ssh");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("key");
        make_key(&path)?;
        let read = |path: &Path| fs::read(path).context("reading the machines' key");
        let (secret, public) = (read(&path)?, read(&path.with_extension("pub"))?);
        let up: Vec<&Machine> = self
            .machines()
            .iter()
            .filter(|machine| machine.is_running())
            .collect();
        let mut known_hosts = String::new();
        for machine in &up {
            let host_key = serve(machine, &public, &folder)?;
            known_hosts += &format!("{} {host_key}", machine.address());
        }
        for machine in up {
            machine.write_file("/root/.ssh/id_ed25519", &secret)?;
            restrict(machine, "/root/.ssh/id_ed25519")?;
            machine.write_file("/root/.fleetctl/known_hosts", &known_hosts)?;
        }
        Ok(())
    }

    /// An operator in the lab's own network, who has `fleetctl` from that folder.
    ///
    /// # Errors
    /// The home folder, the key or the agent cannot be made.
    pub fn operator(&self, programs: &Path) -> Result<Operator<'_>> {
        let home = self.folder().join("operator");
        fs::create_dir_all(&home).with_context(|| format!("making {}", home.display()))?;
        make_key(&home.join("key"))?;
        let mut agent = self.command("ssh-agent");
        agent.args(["-D", "-a"]).arg(home.join("agent"));
        let agent = agent
            .stdout(Stdio::null())
            .spawn()
            .context("starting ssh-agent")?;
        let operator = Operator {
            lab: self,
            home,
            programs: programs.to_owned(),
            agent,
        };
        wait_for("ssh-agent", Duration::from_secs(10), || {
            let added = shell::read(&mut operator.command("ssh-add -q $HOME/key"));
            added.map(drop).map_err(|error| format!("{error:#}"))
        })?;
        Ok(operator)
    }
}

impl Operator<'_> {
    /// Whoever has the key may log in on this machine as `core`. Its SSH server runs when this returns.
    ///
    /// # Errors
    /// The machine is down, or its server does not start.
    pub fn is_let_in_by(&self, machine: &Machine) -> Result<()> {
        let key = fs::read(self.home.join("key.pub")).context("reading the operator's key")?;
        serve(machine, &key, &self.home).map(drop)
    }

    /// A line for the shell, with the operator's home, agent and programs, in the lab's network.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.lab.command("sh");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.programs.display());
        command
            .args(["-c", line])
            .current_dir(&self.home)
            .env_clear();
        command
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("SSH_AUTH_SOCK", self.home.join("agent"));
        command
    }

    /// The operator's home folder.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Operator<'_> {
    fn drop(&mut self) {
        // one that has ended needs no end
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// Starts a machine's SSH server, with a new key that is kept in `folder`; whoever has `key` may log in. The public half of
/// the server's key comes back.
fn serve(machine: &Machine, key: &[u8], folder: &Path) -> Result<String> {
    let_in(machine, key)?;
    let host_key = folder.join(format!("host-key-{}", machine.name()));
    make_key(&host_key)?;
    let read = |path: &Path| fs::read(path).context("reading a host key");
    machine.write_file("/etc/ssh/sshd_config", SERVER)?;
    machine.write_file(HOST_KEY, read(&host_key)?)?;
    restrict(machine, HOST_KEY)?;
    machine.read(["systemctl", "--quiet", "enable", "ssh.service"])?;
    machine.read(["systemctl", "restart", "ssh.service"])?;
    Ok(String::from_utf8_lossy(&read(&host_key.with_extension("pub"))?).into_owned())
}

/// Makes a key pair; another one if there is one.
fn make_key(path: &Path) -> Result<()> {
    for old in [path.to_owned(), path.with_extension("pub")] {
        match fs::remove_file(&old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("removing {}: {error}", old.display())
            }
            _ => {}
        }
    }
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path);
    shell::read(&mut keygen).map(drop)
}

/// Makes the user, unless it is there, and lets the key in.
fn let_in(machine: &Machine, key: &[u8]) -> Result<()> {
    let (user, number) = USER;
    if !machine.run(["id", user])?.status.success() {
        make_user(machine)?;
    }
    let home = format!("/home/{user}");
    let (folder, keys) = (
        format!("{home}/.ssh"),
        format!("{home}/.ssh/authorized_keys"),
    );
    machine.write_file(&keys, key)?;
    for path in [&home, &folder, &keys] {
        let path = on_host(machine, path);
        chown(&path, Some(number), Some(number))
            .with_context(|| format!("giving {} away", path.display()))?;
    }
    restrict(machine, &keys)
}

fn make_user(machine: &Machine) -> Result<()> {
    let (user, number) = USER;
    let passwd = format!("{user}:x:{number}:{number}::/home/{user}:/bin/bash\n");
    append(machine, "/etc/passwd", &passwd)?;
    append(
        machine,
        "/etc/shadow",
        &format!("{user}:*:19000:0:99999:7:::\n"),
    )?;
    append(machine, "/etc/group", &format!("{user}:x:{number}:\n"))?;
    GROUPS.iter().try_for_each(|group| join(machine, group))
}

fn append(machine: &Machine, path: &str, line: &str) -> Result<()> {
    let mut text = machine.read_file(path)?;
    text.extend(line.as_bytes());
    machine.write_file(path, text)
}

/// Adds the user to a group that is there.
fn join(machine: &Machine, group: &str) -> Result<()> {
    let text = String::from_utf8_lossy(&machine.read_file("/etc/group")?).into_owned();
    let member = |line: &str| match line.strip_prefix(group) {
        Some(rest) if rest.starts_with(':') && line.ends_with(':') => format!("{line}{}\n", USER.0),
        Some(rest) if rest.starts_with(':') => format!("{line},{}\n", USER.0),
        _ => format!("{line}\n"),
    };
    machine.write_file("/etc/group", text.lines().map(member).collect::<String>())
}

fn restrict(machine: &Machine, path: &str) -> Result<()> {
    let path = on_host(machine, path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("restricting {}", path.display()))
}

fn on_host(machine: &Machine, path: &str) -> PathBuf {
    machine.root().join(path.trim_start_matches('/'))
}
