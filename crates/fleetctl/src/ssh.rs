//! Machines over SSH, by the system's own `ssh`.
//!
//! `ssh` opens one connection to each machine beside us (a ControlMaster), and everything else goes over that. So
//! what is wrong with a connection is told apart from what a command on the far side says, a host key is asked about
//! once, and a tunnel is one login however many requests go through it. A connection ends with this process, however
//! that ends.

mod complaint;
mod folder;
mod helper;
mod hop;
mod host_key;
mod known_hosts;
pub(crate) mod quote;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::args::Remote;

use complaint::Complaint;
pub(crate) use helper::help_if_asked;
pub(crate) use hop::{Hop, HopError};

/// Silence of so long makes ssh ask for a sign of life; the third that does not come is the end.
const ALIVE: Duration = Duration::from_secs(15);

/// Opens connections, all by the same rules, and all through the bastion if there is one.
pub(crate) struct Ssh {
    user: String,
    timeout: Duration,
    strict: bool,
    known_hosts: PathBuf,
    bastion: Option<Hop>,
    tunnel: OnceCell<Connection>,
    opened: AtomicUsize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    /// `--tunnel` makes no sense.
    #[error(transparent)]
    Bastion(#[from] HopError),
    /// The folder for control sockets, or ssh itself.
    #[error("{doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// No login within `--ssh-timeout`.
    #[error("timed out while initiating SSH connection")]
    TimedOut,
    /// What ssh said last.
    #[error("{0}")]
    Refused(String),
}

/// A machine that we are logged in on. The login ends with this value.
pub(crate) struct Connection {
    socket: PathBuf,
    host: String,
    forward_agent: bool,
    /// The `ssh` that holds the login.
    _master: Child,
}

impl Ssh {
    /// Connections as the flags want them. Nothing is opened yet.
    ///
    /// # Errors
    /// When `--tunnel` names no server.
    pub(crate) fn new(remote: &Remote) -> Result<Self, SshError> {
        let tunnel = remote.tunnel.as_deref().filter(|text| !text.is_empty());
        Ok(Ssh {
            user: remote.ssh_username.clone(),
            timeout: Duration::from_secs_f64(remote.ssh_timeout),
            strict: remote.strict_host_key_checking,
            known_hosts: remote.known_hosts(),
            bastion: tunnel.map(Hop::parse).transpose()?,
            tunnel: OnceCell::new(),
            opened: AtomicUsize::new(0),
        })
    }

    /// The connection to the bastion, opened by the first who wants it; none if there is no `--tunnel`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) async fn tunnel(&self) -> Result<Option<&Connection>, SshError> {
        let Some(bastion) = &self.bastion else {
            return Ok(None);
        };
        // API requests come over it by a program on the bastion, which needs no keys of ours
        let tunnel = self
            .tunnel
            .get_or_try_init(|| self.log_in(bastion, false, None));
        tunnel.await.map(Some)
    }

    /// Logs in on a machine, through the bastion if there is one.
    ///
    /// # Errors
    /// When that does not work within `--ssh-timeout`.
    pub(crate) async fn connect(
        &self,
        machine: &Hop,
        forward_agent: bool,
    ) -> Result<Connection, SshError> {
        self.log_in(machine, forward_agent, self.tunnel().await?)
            .await
    }

    async fn log_in(
        &self,
        hop: &Hop,
        forward_agent: bool,
        through: Option<&Connection>,
    ) -> Result<Connection, SshError> {
        let socket = self.new_socket()?;
        let known_as = self.known_as(hop).await?;
        // ssh asks on the terminal, if there is one; a script answers on stdin
        let asks = self.strict && !is_interactive();
        let mut command: Command = helper::master(asks).map_err(system("running ssh"))?.into();
        command.args(["-N", "-M", "-T", "-x", "-S"]).arg(&socket);
        let alias = known_as.map(|entry| format!("HostKeyAlias={entry}"));
        for option in self
            .options(forward_agent, through)
            .into_iter()
            .chain(alias)
        {
            command.arg("-o").arg(option);
        }
        command.args([
            "-p",
            &hop.port.to_string(),
            "-l",
            hop.user.as_ref().unwrap_or(&self.user),
            "--",
            &hop.host,
        ]);
        let master = self.start(command).await.inspect_err(|_| remove(&socket))?;
        Ok(Connection {
            socket,
            host: hop.host.clone(),
            forward_agent,
            _master: master,
        })
    }

    /// Where a connection is to listen: at no other's place.
    fn new_socket(&self) -> Result<PathBuf, SshError> {
        let folder = folder::for_sockets().map_err(system("making a folder for ssh"))?;
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let socket = folder.join(format!("fleetctl-{}-{number}", std::process::id()));
        // left by a process that had our number
        remove(&socket);
        Ok(socket)
    }

    /// Starts an ssh and waits until it is logged in: it runs `echo` then.
    async fn start(&self, mut ssh: Command) -> Result<Child, SshError> {
        ssh.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh = ssh
            .kill_on_drop(true)
            .spawn()
            .map_err(system("running ssh"))?;
        let complaint = Complaint::default();
        let all_said = ssh.stderr.take().map(|stderr| complaint.listen(stderr));
        let mut stdout = ssh.stdout.take();
        let login = async {
            match &mut stdout {
                Some(stdout) => stdout.read_u8().await.is_ok(),
                None => false,
            }
        };
        match timeout(self.patience(), login).await {
            Ok(true) => {
                complaint.show();
                Ok(ssh)
            }
            Ok(false) => {
                if let Some(all_said) = all_said {
                    // the one that it speaks through may outlive it for a moment
                    let _ = timeout(self.timeout, all_said).await;
                }
                Err(SshError::Refused(complaint.reason()))
            }
            Err(_) => {
                complaint.show();
                Err(SshError::TimedOut)
            }
        }
    }

    /// How long a login may take. Who is asked for a passphrase takes the time that it takes: only ssh's own limit for
    /// everything else counts then.
    fn patience(&self) -> Duration {
        if is_interactive() {
            Duration::MAX
        } else {
            self.timeout
        }
    }

    fn options(&self, forward_agent: bool, through: Option<&Connection>) -> Vec<String> {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        let mut options = vec![
            "ControlPersist=no".to_owned(),
            "PermitLocalCommand=yes".to_owned(),
            "LocalCommand=echo".to_owned(),
            "RemoteCommand=none".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            // rounded up: where our own clock counts, it is to be the first
            format!("ConnectTimeout={}", self.timeout.as_secs() + 1),
            format!("ServerAliveInterval={}", ALIVE.as_secs()),
            format!("ForwardAgent={}", yes_no(forward_agent)),
            "CheckHostIP=no".to_owned(),
            "HashKnownHosts=no".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
        ];
        options.extend(self.host_key_options());
        if !is_interactive() {
            // as the original shows it; people get what ssh shows them
            options.push("FingerprintHash=md5".to_owned());
            options.push("PasswordAuthentication=no".to_owned());
            options.push("KbdInteractiveAuthentication=no".to_owned());
        }
        options.extend(through.map(|through| format!("ProxyCommand={}", through.proxy_command())));
        options
    }

    fn host_key_options(&self) -> Vec<String> {
        if self.strict {
            let file = self.known_hosts.display().to_string();
            return vec![
                "StrictHostKeyChecking=ask".to_owned(),
                format!("UserKnownHostsFile=\"{}\"", file.replace('%', "%%")),
            ];
        }
        vec![
            "StrictHostKeyChecking=no".to_owned(),
            "UserKnownHostsFile=/dev/null".to_owned(),
            // it would say that it has permanently added the key
            "LogLevel=ERROR".to_owned(),
        ]
    }

    /// Makes ready for a host key to be looked up and written down, and finds the entry to look it up by if that is not
    /// the host's name.
    async fn known_as(&self, hop: &Hop) -> Result<Option<String>, SshError> {
        if !self.strict {
            return Ok(None);
        }
        known_hosts::make_folder(&self.known_hosts)
            .map_err(system("making the folder of --known-hosts-file"))?;
        let alias = timeout(self.timeout, known_hosts::alias(&self.known_hosts, hop)).await;
        alias.map_err(|_| SshError::TimedOut)
    }
}

impl Connection {
    /// A command on the far side, to be read by the shell there; a login shell if there is none. `terminal`: with
    /// a terminal of its own.
    pub(crate) fn command(&self, line: Option<&str>, terminal: bool) -> Command {
        let mut command = self.ssh();
        command
            .arg(if self.forward_agent { "-A" } else { "-a" })
            .arg(if terminal { "-tt" } else { "-T" })
            .arg("--")
            .arg(&self.host)
            .args(line);
        command
    }

    /// `ssh` whose stdin and stdout are joined with a port that the far side can reach.
    pub(crate) fn forward(&self, host: &str, port: u16) -> Command {
        let mut command = self.ssh();
        command
            .arg("-W")
            .arg(format!("[{host}]:{port}"))
            .arg("--")
            .arg(&self.host);
        command
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-S").arg(&self.socket);
        // without the connection there must not be another one by other rules
        command.args(["-o", "ControlMaster=no", "-o", "ProxyCommand=false"]);
        // nor shall the user's configuration run something else
        command.args(["-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no"]);
        command
    }

    fn proxy_command(&self) -> String {
        let socket = self.socket.display().to_string().replace('%', "%%");
        let words = [
            "ssh",
            "-o",
            "ProxyCommand=false",
            "-S",
            &socket,
            "-W",
            "[%h]:%p",
            "--",
            &self.host,
        ];
        quote::line(words)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        remove(&self.socket);
    }
}

/// Whether somebody sits at a terminal.
fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

/// A socket that is gone already is as good.
fn remove(socket: &Path) {
    let _ = std::fs::remove_file(socket);
}

fn system(doing: &'static str) -> impl Fn(std::io::Error) -> SshError {
    move |source| SshError::System { doing, source }
}
