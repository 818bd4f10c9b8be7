//! Commands that reach machines: by SSH, and right here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::{Backing, Cluster, Fleet, Machine, Operator, wait_for};

use crate::told::{SLEEP, cluster};

const TALK: &str =
    "[Service]\nExecStart=/bin/sh -c 'echo hello from the unit; exec sleep infinity'\n";
const GLOBAL: &str = "[Service]\nExecStart=/bin/sh -c 'echo hello from everywhere; exec sleep infinity'\n[X-Fleet]\nGlobal=true\n";

/// What a command came to.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Said {
    pub(crate) fn expect(self, code: i32, out: &str) -> Result<Said> {
        let Said {
            code: got,
            out: said,
            err,
        } = &self;
        ensure!(
            *got == Some(code) && said == out,
            "exit {got:?} instead of {code}\n{said}\nstderr: {err}"
        );
        Ok(self)
    }

    pub(crate) fn complains(self, code: i32, words: &str) -> Result<Said> {
        let Said {
            code: got,
            out,
            err,
        } = &self;
        ensure!(
            *got == Some(code) && err.contains(words),
            "exit {got:?} instead of {code}, no {words:?}\n{out}\nstderr: {err}"
        );
        Ok(self)
    }
}

/// What the operator types; `FLEETCTL_TUNNEL` leads to the first machine.
pub(crate) fn type_in(operator: &Operator, line: &str) -> Result<Said> {
    let mut command = operator.command(line);
    command
        .env("FLEETCTL_TUNNEL", "10.99.0.11")
        .env("FLEETCTL_STRICT_HOST_KEY_CHECKING", "false");
    Ok(command.output().context("running a command line")?.into())
}

/// What is typed on a machine that lets nobody ask about host keys.
pub(crate) fn on(machine: &Machine, line: &str) -> Result<Said> {
    Ok(machine.run(["sh", "-c", line])?.into())
}

/// A cluster whose machines have SSH servers that let the operator in.
pub(crate) fn open_cluster(story: &str, machines: usize) -> Result<Cluster> {
    cluster(story, machines, Backing::EmbeddedStore)
}

pub(crate) fn let_in(cluster: &Cluster, operator: &Operator) -> Result<()> {
    cluster
        .lab
        .machines()
        .iter()
        .try_for_each(|machine| operator.is_let_in_by(machine))
}

#[test]
fn a_machine_is_logged_in_on_by_its_id_or_by_a_unit_on_it() -> Result<()> {
    let cluster = open_cluster("ssh", 2)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    cluster.start("talk.service", TALK)?;
    let home = cluster.wait_active("talk.service")?;
    let (m2, talks) = (cluster.machine("m2")?, cluster.machine(&home)?);

    let id = m2.id();
    type_in(&operator, &format!("fleetctl ssh {} hostname", &id[..6]))?.expect(0, "m2\n")?;
    type_in(&operator, &format!("fleetctl ssh --machine {id} hostname"))?.expect(0, "m2\n")?;
    type_in(&operator, "fleetctl ssh talk hostname")?.expect(0, &format!("{}\n", talks.name()))?;
    type_in(
        &operator,
        "fleetctl ssh -A -unit=talk.service 'ssh-add -l | wc -l'",
    )?
    .expect(0, "1\n")?;
    // the command's own flags, exit code, input and quoting
    type_in(&operator, "fleetctl ssh talk -- sh -c 'exit\\ 7'")?.expect(7, "")?;
    type_in(&operator, "fleetctl ssh talk nosuchcommand")?.complains(127, "nosuchcommand")?;
    let killed = type_in(
        &operator,
        "fleetctl ssh talk 'echo out; echo err >&2; kill -9 $$'",
    )?;
    ensure!(
        killed.expect(137, "out\n")?.err == "err\n",
        "nobody else has a say"
    );
    type_in(&operator, "fleetctl ssh talk printf %s- -l --full")?.expect(0, "-l---full-")?;
    type_in(&operator, "fleetctl ssh talk whoami --ssh-username=core")?.expect(0, "core\n")?;
    type_in(
        &operator,
        "printf 'hostname\\nexit 5\\n' | fleetctl ssh talk",
    )?
    .expect(5, &format!("{}\n", talks.name()))?;
    type_in(&operator, "echo in and out | fleetctl ssh talk cat")?.expect(0, "in and out\n")?;
    type_in(&operator, "echo hostname | fleetctl ssh talk")?
        .expect(0, &format!("{}\n", talks.name()))?;
    type_in(
        &operator,
        "fleetctl ssh talk echo '$USER' '*(' 2>&1 | grep -c syntax",
    )?
    .expect(0, "1\n")?;
    // what is not there
    type_in(&operator, "fleetctl ssh nosuch")?.complains(
        1,
        "Unable to proceed: could not find matching unit or machine",
    )?;
    type_in(&operator, "fleetctl ssh")?
        .complains(1, "Unable to proceed: one machine or unit must be provided")?;
    type_in(&operator, "fleetctl ssh --ssh-port 2222 talk true")?
        .complains(1, "Failed building SSH client: ")?;
    type_in(&operator, "unset SSH_AUTH_SOCK; fleetctl list-machines")?
        .complains(1, "SSH_AUTH_SOCK environment variable is not set")?;
    Ok(())
}

#[test]
fn an_unknown_host_key_is_asked_about_and_the_answer_may_come_from_a_script() -> Result<()> {
    let cluster = open_cluster("hostkey", 1)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    let ask = |line: &str| -> Result<Said> {
        let mut command = operator.command(line);
        Ok(command
            .env("FLEETCTL_ENDPOINT", "http://10.99.0.11:49153")
            .output()?
            .into())
    };
    listen_on_tcp(&cluster, "m1")?;
    let id = cluster.machine("m1")?.id();
    let hostname = format!("fleetctl ssh {id} cat");
    let question = "The authenticity of host '10.99.0.11";

    let refused =
        ask(&format!("echo no | {hostname}"))?.complains(1, "Host key verification failed.")?;
    // the words that the original has; MD5 writes 16 bytes with colons between them
    let said: Vec<&str> = refused.err.lines().collect();
    ensure!(
        said[0] == format!("{question}' can't be established."),
        "{}",
        refused.err
    );
    let fingerprint = said[1].strip_prefix("ED25519 key fingerprint is ");
    ensure!(
        fingerprint.is_some_and(|print| print.split(':').count() == 16),
        "{}",
        refused.err
    );
    ensure!(
        refused
            .err
            .contains("\nAre you sure you want to continue connecting (yes/no)? \n"),
        "{}",
        refused.err
    );
    ask(&format!("echo yes please | {hostname}"))?.complains(1, "unauthorized host")?;
    ask(&format!("{hostname} </dev/null"))?.complains(1, question)?;
    // the first line is the answer, the rest is the command's
    ask(&format!("printf 'yes\\nthe rest' | {hostname}"))?.expect(0, "the rest")?;
    let known = operator.home().join(".fleetctl/known_hosts");
    ensure!(fs::read_to_string(&known)?.starts_with("10.99.0.11 ssh-ed25519 "));
    let mode = known
        .parent()
        .context("no folder")?
        .metadata()?
        .permissions()
        .mode();
    ensure!(mode & 0o777 == 0o700, "{mode:o}");
    let quiet = ask(&format!("echo yes | {hostname}"))?.expect(0, "yes\n")?;
    ensure!(!quiet.err.contains(question), "{}", quiet.err);

    operator.is_let_in_by(cluster.machine("m1")?)?;
    let changed = ask(&format!("echo yes | {hostname}"))?
        .complains(1, "REMOTE HOST IDENTIFICATION HAS CHANGED!")?;
    ensure!(
        changed
            .err
            .contains("Failed building SSH client: ssh: handshake failed: host key mismatch"),
        "{}",
        changed.err
    );
    fs::write(&known, "")?;
    ask(&format!("printf yes | {hostname}"))?.expect(0, "")?;
    let elsewhere = "--known-hosts-file '~/elsewhere/known hosts'";
    ask(&format!(
        "echo yes | fleetctl {elsewhere} ssh {id} hostname"
    ))?
    .expect(0, "m1\n")?;
    ensure!(operator.home().join("elsewhere/known hosts").exists());
    ask(&format!(
        "fleetctl --strict-host-key-checking=perhaps ssh {id} true"
    ))?
    .complains(2, "--strict-host-key-checking")?;
    Ok(())
}

#[test]
fn status_and_journal_are_had_from_the_machine_that_has_the_unit() -> Result<()> {
    let cluster = open_cluster("status", 2)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    cluster.start("talk.service", TALK)?;
    cluster.start("all.service", GLOBAL)?;
    cluster.write_unit("idle.service", SLEEP)?;
    cluster.fleetctl("submit idle.service")?;
    let home = cluster.wait_active("talk.service")?;
    cluster.wait_where("all.service", "is everywhere", |rows| {
        (rows.len() == 2 && rows.iter().all(|row| row.active == "active")).then_some(())
    })?;

    let status = type_in(&operator, "fleetctl status talk.service")?;
    ensure!(
        status.code == Some(0) && status.out.contains("Active: active (running)"),
        "{}",
        status.err
    );
    // on the machine itself no SSH is needed
    let local = on(cluster.machine(&home)?, "fleetctl status talk.service")?;
    ensure!(
        local.code == Some(0) && local.out.contains("Loaded: loaded"),
        "{}",
        local.err
    );
    let everywhere = type_in(&operator, "fleetctl status all")?;
    ensure!(
        everywhere.out.matches("Active: active (running)").count() == 2,
        "{}",
        everywhere.out
    );
    ensure!(
        everywhere.err.matches("all.service on ").count() == 2,
        "{}",
        everywhere.err
    );
    for machine in cluster.lab.machines() {
        let journal = format!("fleetctl journal --output=cat -m {} all", machine.id());
        let journal = type_in(&operator, &journal)?;
        ensure!(
            journal.out.matches("hello from everywhere").count() == 1,
            "{}",
            journal.out
        );
    }
    type_in(&operator, "fleetctl journal --output='cat;id' talk")?.complains(1, "cat;id")?;
    let both = type_in(&operator, "fleetctl status talk all")?;
    ensure!(both.code == Some(0), "{}", both.err);
    ensure!(both.out.contains("\n\n● all.service"), "{}", both.out);
    type_in(&operator, "fleetctl status nosuch")?
        .complains(1, "Unit nosuch.service does not exist.")?;
    type_in(&operator, "fleetctl status idle")?
        .complains(1, "Unit idle.service does not appear to be loaded.")?;
    cluster.fleetctl("stop talk")?;
    let stopped = type_in(&operator, "fleetctl status talk")?;
    ensure!(
        stopped.code == Some(3) && stopped.out.contains("inactive (dead)"),
        "{}",
        stopped.err
    );
    cluster.fleetctl("start talk")?;

    // systemd's own line may come before the unit's or after it
    let journal = type_in(&operator, "fleetctl journal --output=cat -lines=2 talk")?;
    ensure!(
        journal.code == Some(0)
            && journal.out.contains("hello from the unit\n")
            && journal.out.lines().count() == 2,
        "{}{}",
        journal.out,
        journal.err
    );
    let journal = type_in(&operator, "fleetctl journal --output=cat all")?;
    ensure!(
        journal.out.matches("hello from everywhere").count() == 2,
        "{}",
        journal.out
    );
    type_in(&operator, "fleetctl journal idle")?
        .complains(1, "Unit idle.service does not appear to be running.")?;
    type_in(&operator, "fleetctl journal")?.complains(1, "One unit file must be provided.")?;
    // a journal that is followed ends with its reader
    let follow = "fleetctl journal -f --output cat talk >followed & pid=$!; \
                  until grep -q hello followed; do sleep 0.05; done; kill -INT $pid; wait $pid; echo ended";
    type_in(&operator, follow)?.expect(0, "ended\n")?;
    Ok(())
}

#[test]
fn a_restart_starts_new_processes_also_of_a_global_unit() -> Result<()> {
    let cluster = open_cluster("restart", 2)?;
    cluster.start("talk.service", TALK)?;
    cluster.start("all.service", GLOBAL)?;
    cluster.write_unit("idle.service", SLEEP)?;
    cluster.fleetctl("submit idle.service")?;
    let home = cluster.wait_active("talk.service")?;
    let everywhere = |units: &[integration::Row]| {
        (units.len() == 2 && units.iter().all(|row| row.active == "active")).then_some(())
    };
    cluster.wait_where("all.service", "is everywhere", everywhere)?;
    let pids = || -> Result<Vec<String>> {
        let mut pids = vec![cluster.machine(&home)?.main_pid("talk.service")?];
        for machine in cluster.lab.machines() {
            pids.push(machine.main_pid("all.service")?);
        }
        Ok(pids)
    };

    let before = pids()?;
    let said = cluster.fleetctl("restart talk all idle")?;
    ensure!(said.contains("Unit talk.service launched on "), "{said}");
    cluster.wait_where("all.service", "is everywhere again", everywhere)?;
    let changed = wait_for("new processes", Duration::from_secs(10), || {
        let after = pids().map_err(|error| format!("{error:#}"))?;
        let new = before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after && after != "0");
        if new {
            Ok(())
        } else {
            Err(format!("{before:?} {after:?}"))
        }
    });
    changed?;
    let output = cluster.try_fleetctl("restart idle nosuch")?;
    ensure!(!output.status.success(), "there is no such unit");
    Ok(())
}

/// Has fleetd serve its API on a port, too.
pub(crate) fn listen_on_tcp(cluster: &Cluster, name: &str) -> Result<()> {
    let machine = cluster.machine(name)?;
    let listen = "[Socket]\nListenStream=49153\n";
    machine.write_file("/etc/systemd/system/fleet.socket.d/tcp.conf", listen)?;
    machine.read(["systemctl", "daemon-reload"])?;
    machine.read(["systemctl", "stop", "fleet.service"])?;
    machine.read(["systemctl", "restart", "fleet.socket"])?;
    machine.read(["systemctl", "start", "fleet.service"])?;
    cluster.wait_for_members(cluster.lab.machines().len())
}
