//! The conformance suite on real machines: the API byte by byte, the command line to the byte, and scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use integration::conformance::transcript::{Stage, play};
use integration::conformance::{self, Player, Server};
use integration::{Backing, Cluster, Fleet, Machine};

use crate::remote::listen_on_tcp;
use crate::told::{cluster, stories};

/// The folder on the first machine in which transcripts and scripts are played.
const HERE: &str = "/root/here";

/// A folder of the first machine. `{m1}` and `{m1:8}` stand for its id and for the beginning of that.
struct Folder<'a>(&'a Cluster);

impl Folder<'_> {
    fn machine(&self) -> Result<&Machine> {
        self.0.machine("m1")
    }

    /// What is written, and what is meant by it.
    fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let machines = self.0.lab.machines().iter();
        machines.flat_map(|machine| {
            let (name, id) = (machine.name(), machine.id());
            [
                (format!("{{{name}}}"), id),
                (format!("{{{name}:8}}"), &id[..8]),
            ]
        })
    }

    fn meant(&self, text: &str) -> String {
        let meant = |text: String, (name, meaning): (String, &str)| text.replace(&name, meaning);
        self.names().fold(text.to_owned(), meant)
    }

    fn written(&self, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let written = |text: String, (name, meaning): (String, &str)| text.replace(meaning, &name);
        self.names().fold(text, written).into_bytes()
    }
}

impl Stage for Folder<'_> {
    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = format!("{HERE}/{path}");
        self.machine()?.write_file(path, self.meant(text) + "\n")
    }

    fn run(&self, line: &str) -> Result<Output> {
        let script = format!("mkdir -p {HERE} && cd {HERE} && {}", self.meant(line));
        let Output {
            status,
            stdout,
            stderr,
        } = self.machine()?.run(["bash", "-c", &script])?;
        Ok(Output {
            status,
            stdout: self.written(&stdout),
            stderr: self.written(&stderr),
        })
    }
}

stories! {
    the_api_answers_as_it_is_written(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let socket = cluster.machine("m1")?.root().join("run/fleet.sock");
        let player = Player::of(Server::Unix(socket))?;
        for path in conformance::files("api", "txt")? {
            let text = fs::read_to_string(&path)?;
            conformance::check(&path, &player.play(&text)?)?;
        }
        Ok(())
    }

    the_command_line_prints_what_is_written(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let stage = Folder(cluster);
        for path in conformance::files("cli", "txt")? {
            let text = fs::read_to_string(&path)?;
            conformance::check(&path, &play(&text, &stage)?)?;
        }
        Ok(())
    }
}

#[test]
fn the_api_answers_on_a_port_too_and_anybody_can_play_the_suite() -> Result<()> {
    let cluster = cluster("conform-tcp", 2, Backing::EmbeddedStore)?;
    listen_on_tcp(&cluster, "m2")?;
    let mut program = cluster.lab.command(env!("CARGO_BIN_EXE_conformance"));
    program
        .args(["--endpoint", "http://10.99.0.12:49153"])
        .env_remove("UPDATE");
    let output = program.output().context("running the suite")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains(" passed, 0 failed"),
        "{said}"
    );
    Ok(())
}

/// A client of fleet's time, made from the API's discovery document: from PyPI as it is.
#[test]
fn a_python_client_of_fleets_time_works_unchanged() -> Result<()> {
    let python = python_with_client()?;
    let cluster = cluster("python", 2, Backing::EmbeddedStore)?;
    listen_on_tcp(&cluster, "m2")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/clients/python-fleet.py");
    let socket = cluster.machine("m1")?.root().join("run/fleet.sock");
    let socket = socket.to_string_lossy().replace('/', "%2F");
    for endpoint in [
        "http://10.99.0.12:49153".to_owned(),
        format!("http+unix://{socket}"),
    ] {
        let mut command = cluster.lab.command(&python);
        let output = command
            .arg(&script)
            .arg(&endpoint)
            .output()
            .context("running python")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let content = output.status.success() && said == "python-fleet is content\n";
        ensure!(content, "{endpoint}: {said}{complaint}");
    }
    Ok(())
}

/// A python that has the client, installed once for all runs.
fn python_with_client() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-fleet");
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/clients/requirements.txt");
    let (python, done) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if fs::read(&done).ok() == fs::read(&requirements).ok() {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&requirements))?;
    fs::copy(&requirements, &done)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Scripts of fleet's time, on a machine and beside the machines, with keys, a bastion and all.
#[test]
fn scripts_of_fleets_time_run_unchanged() -> Result<()> {
    let cluster = cluster("scripts", 3, Backing::EmbeddedStore)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    for machine in cluster.lab.machines() {
        operator.is_let_in_by(machine)?;
    }
    for path in conformance::files("scripts", "sh")? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut command: Command = operator.command(&format!(
            "mkdir -p {name}.d && cd {name}.d && bash {}",
            path.display()
        ));
        command.env("FLEETCTL_TUNNEL", "10.99.0.11");
        let output = command
            .output()
            .with_context(|| format!("running {name}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "{name}: {}\n{out}\nstderr: {err}\n{}",
            output.status,
            cluster.logs()
        );
        let left = cluster.fleetctl("list-unit-files --no-legend")?;
        ensure!(left.is_empty(), "{name} leaves something behind: {left}");
    }
    Ok(())
}
