//! Machines over SSH, by the system's own `ssh`.
//!
//! `ssh` opens one connection to each machine in the background (a ControlMaster), and everything else goes over
//! that. So what is wrong with a connection is told apart from what a command on the far side says, a host key is
//! asked about once, and a tunnel is one login however many requests go through it.

mod askpass;
mod hop;
pub(crate) mod quote;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::args::Remote;
use crate::output;

use askpass::Questions;
pub(crate) use askpass::answer_if_asked;
pub(crate) use hop::{Hop, HopError};

/// How long the background connection outlives a fleetctl that was killed.
const PERSIST: Duration = Duration::from_secs(60);

/// Opens connections, all by the same rules, and all through the bastion if there is one.
pub(crate) struct Ssh {
    user: String,
    timeout: Duration,
    strict: bool,
    known_hosts: PathBuf,
    bastion: Option<Hop>,
    tunnel: OnceCell<Connection>,
    /// Control sockets and logs; made when it is wanted.
    folder: OnceLock<TempDir>,
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
            folder: OnceLock::new(),
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
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder()?;
        let file = |name: &str| folder.join(format!("{name}{number}"));
        let (socket, log) = (file("ctl"), file("log"));
        let questions = self.questions(&file("ask"))?;
        self.make_known_hosts_folder()?;
        let mut command = Command::new("ssh");
        command
            .args(["-f", "-N", "-M", "-S"])
            .arg(&socket)
            .arg("-E")
            .arg(&log);
        for option in self.options(forward_agent, through) {
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
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(questions) = &questions {
            questions.announce(&mut command)?;
        }
        let status = self.wait_for_login(command, questions).await;
        judge(status, &log)?;
        Ok(Connection {
            socket,
            host: hop.host.clone(),
            forward_agent,
        })
    }

    fn folder(&self) -> Result<&Path, SshError> {
        if let Some(folder) = self.folder.get() {
            return Ok(folder.path());
        }
        let made = tempfile::Builder::new().prefix("fleetctl-").tempdir();
        let made = made.map_err(system("making a folder for ssh"))?;
        // of two that are made at once one goes away again
        Ok(self.folder.get_or_init(|| made).path())
    }

    async fn wait_for_login(
        &self,
        mut command: Command,
        questions: Option<Questions>,
    ) -> Result<ExitStatus, SshError> {
        let mut child = command.spawn().map_err(system("running ssh"))?;
        let answered = async {
            match questions {
                Some(questions) => questions.answer().await,
                None => std::future::pending().await,
            }
        };
        let login = async {
            tokio::select! {
                status = child.wait() => status.map_err(system("waiting for ssh")),
                never = answered => never,
            }
        };
        tokio::time::timeout(self.timeout, login)
            .await
            .unwrap_or(Err(SshError::TimedOut))
    }

    /// ssh asks on the terminal, if there is one; a script answers on stdin.
    fn questions(&self, socket: &Path) -> Result<Option<Questions>, SshError> {
        if !self.strict || std::io::stdin().is_terminal() {
            return Ok(None);
        }
        Questions::listen(socket).map(Some)
    }

    fn options(&self, forward_agent: bool, through: Option<&Connection>) -> Vec<String> {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        // our own clock counts everything, and is to be the first
        let seconds = self.timeout.as_secs() + 2;
        let mut options = vec![
            format!("ControlPersist={}", PERSIST.as_secs()),
            format!("ConnectTimeout={seconds}"),
            format!("ForwardAgent={}", yes_no(forward_agent)),
            "CheckHostIP=no".to_owned(),
            "HashKnownHosts=no".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
        ];
        options.extend(self.host_key_options());
        if !std::io::stdin().is_terminal() {
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

    /// ssh makes the file, but not the folder.
    fn make_known_hosts_folder(&self) -> Result<(), SshError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let Some(folder) = self.known_hosts.parent().filter(|_| self.strict) else {
            return Ok(());
        };
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.map_err(system("making the folder of --known-hosts-file"))
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
        let mut exit = std::process::Command::new("ssh");
        exit.arg("-S")
            .arg(&self.socket)
            .args(["-O", "exit", "--", &self.host]);
        exit.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // a connection that is gone needs no end
        let _ = exit.status();
    }
}

/// What a login came to; what ssh had to say is passed on.
fn judge(status: Result<ExitStatus, SshError>, log: &Path) -> Result<(), SshError> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let failure = match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(SshError::Refused(match lines.pop() {
            Some(last) => with_cure(last),
            None => format!("ssh ended with {status}"),
        })),
        Err(error) => Some(error),
    };
    lines.iter().for_each(|line| output::warn(line));
    failure.map_or(Ok(()), Err)
}

/// Without an agent there are only key files, and nobody may have known that.
fn with_cure(line: &str) -> String {
    let agent = std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty());
    if line.contains("Permission denied") && !agent {
        return format!(
            "{line} SSH_AUTH_SOCK environment variable is not set. Verify ssh-agent is running."
        );
    }
    line.to_owned()
}

fn system(doing: &'static str) -> impl Fn(std::io::Error) -> SshError {
    move |source| SshError::System { doing, source }
}
