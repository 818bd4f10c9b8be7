//! Ways to machines that are not straight: through a bastion, without an agent, at a terminal, or not at all.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::{Fleet, Operator, wait_for};

use crate::remote::{Said, let_in, listen_on_tcp, on, open_cluster, type_in};
use crate::told::SLEEP;

/// Runs on the second machine, and says so all the time.
const TICK: &str = "[Service]\nExecStart=/bin/sh -c 'while :; do echo tick; sleep 0.1; done'\n[X-Fleet]\nMachineMetadata=name=m2\n";

#[test]
fn a_bastion_leads_to_the_api_and_to_the_machines() -> Result<()> {
    let cluster = open_cluster("tunnel", 2)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    listen_on_tcp(&cluster, "m2")?;
    fs::write(operator.home().join("web@.service"), SLEEP)?;

    // many requests at once are one login
    let started = type_in(
        &operator,
        "fleetctl submit web@.service && fleetctl start $(seq -f web@%g 1 15)",
    )?;
    ensure!(started.code == Some(0), "{}", started.err);
    ensure!(
        started.out.matches(" launched on ").count() == 15,
        "{}",
        started.out
    );
    type_in(&operator, "fleetctl list-units --no-legend | wc -l")?.expect(0, "15\n")?;
    let through = |line: &str| {
        type_in(
            &operator,
            &format!("unset FLEETCTL_TUNNEL; fleetctl --tunnel {line}"),
        )
    };
    through(
        "core@10.99.0.12:22 --endpoint http://127.0.0.1:49153 list-machines --no-legend | wc -l",
    )?
    .expect(0, "2\n")?;
    through("10.99.0.11 destroy $(seq -f web@%g 1 15) | wc -l")?.expect(0, "15\n")?;
    let log = cluster.machine("m1")?.journal("ssh.service")?;
    ensure!(!log.contains("no more sessions"), "{log}");

    // a machine that only the bastion can reach
    let m2 = cluster.machine("m2")?;
    m2.read(["ip", "route", "add", "prohibit", "10.99.0.1/32"])?;
    through(&format!("10.99.0.11 ssh {} hostname", m2.id()))?.expect(0, "m2\n")?;
    through(&format!("10.99.0.11 ssh --ssh-port=9 {} true", m2.id()))?.complains(
        1,
        "Failed building SSH client: ssh: rejected: connect failed",
    )?;

    through("10.99.0.11:23 list-units")?.complains(
        1,
        "Unable to initialize client: failed initializing SSH client: ",
    )?;
    through("root@10.99.0.11 list-units")?.complains(1, "Permission denied")?;
    through("10.99.0.11 --endpoint unix:///nowhere list-units")?
        .complains(1, "Error retrieving list of units from repository")?;
    Ok(())
}

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() -> Result<()> {
    let cluster = open_cluster("silence", 1)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    let m1 = cluster.machine("m1")?;
    let timed = |line: &str| -> Result<Said> {
        let since = Instant::now();
        let said = type_in(&operator, &format!("fleetctl --ssh-timeout=1.5 {line}"))?;
        ensure!(
            since.elapsed() < Duration::from_secs(4),
            "{line}: {:?}",
            since.elapsed()
        );
        Ok(said)
    };
    let late = "Unable to initialize client: failed initializing SSH client: timed out while initiating SSH connection\n";
    timed("list-units")?.expect(0, "UNIT\tMACHINE\tACTIVE\tSUB\n")?;
    // the kernel still takes connections for it
    m1.freeze("sshd")?;
    timed("list-units")?.complains(1, late)?;
    timed("version")?.expect(0, "fleetctl version 1.0.0\n")?;
    m1.thaw("sshd")?;
    m1.cut()?;
    timed("list-units")?.complains(1, late)?;
    timed("--tunnel=no.such.host list-units")?.complains(1, "Could not resolve hostname")?;
    Ok(())
}

#[test]
fn a_client_that_is_killed_leaves_nothing_behind() -> Result<()> {
    let cluster = open_cluster("killed", 2)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    cluster.start("tick.service", TICK)?;
    let mut reader = operator.command("exec fleetctl journal -f --output=cat tick");
    reader
        .env("FLEETCTL_TUNNEL", "10.99.0.11")
        .env("FLEETCTL_STRICT_HOST_KEY_CHECKING", "false")
        .env("XDG_RUNTIME_DIR", operator.home())
        .stdout(Stdio::piped());
    fs::set_permissions(operator.home(), fs::Permissions::from_mode(0o700))?;
    let mut reader = reader.spawn()?;
    let lines = BufReader::new(reader.stdout.take().context("no stdout")?).lines();
    let ticks = lines
        .take(20)
        .filter(|line| line.as_ref().is_ok_and(|line| line == "tick"));
    ensure!(ticks.count() > 15, "the journal is not followed");
    let (m1, m2) = (cluster.machine("m1")?, cluster.machine("m2")?);
    ensure!(!m2.processes("journalctl").is_empty());

    reader.kill()?;
    reader.wait()?;
    wait_for(
        "the end of all that it began",
        Duration::from_secs(10),
        || {
            let (journals, logins) = (m2.processes("journalctl"), m1.processes("sshd"));
            let sockets = fs::read_dir(operator.home())
                .into_iter()
                .flatten()
                .flatten();
            let sockets =
                sockets.filter(|file| file.file_name().to_string_lossy().starts_with("fleetctl-"));
            let left = (journals.len(), logins.len() - 1, sockets.count());
            if left == (0, 0, 0) {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        },
    )
}

#[test]
fn at_a_terminal_there_is_one_on_the_far_side_too() -> Result<()> {
    let cluster = open_cluster("terminal", 1)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    listen_on_tcp(&cluster, "m1")?;
    let id = cluster.machine("m1")?.id();
    let ssh = format!("fleetctl --endpoint http://10.99.0.11:49153 ssh {id}");

    let no = converse(&operator, &format!("{ssh} true"), &[("yes/no", "no")])?;
    ensure!(no.code == Some(1), "{}", no.out);
    let typed = [("yes/no", "yes"), ("bash-", "tty; exit 9")];
    let shell = converse(&operator, &ssh, &typed)?;
    ensure!(shell.code == Some(9), "{}", shell.out);
    ensure!(shell.out.contains("/dev/pts/"), "{}", shell.out);
    let both = format!("{ssh} 'test -t 0 && test -t 1'");
    let both = converse(&operator, &both, &[])?;
    ensure!(both.code == Some(0), "{}", both.out);
    Ok(())
}

/// A command at a terminal, where each line is typed once its cue has been shown.
fn converse(operator: &Operator, line: &str, typed: &[(&str, &str)]) -> Result<Said> {
    let shown = operator.home().join("shown");
    fs::write(&shown, "")?;
    let typing: String = typed
        .iter()
        .map(|(cue, line)| {
            format!("until grep -q '{cue}' shown; do sleep 0.02; done; echo '{line}'; ")
        })
        .collect();
    let talk =
        format!("(true; {typing}) | script --quiet --return --flush --command \"{line}\" shown");
    fs::write(operator.home().join("talk"), talk)?;
    Ok(operator.command("timeout 30 sh talk").output()?.into())
}

#[test]
fn a_key_file_does_where_there_is_no_agent() -> Result<()> {
    let cluster = open_cluster("keyfile", 2)?;
    let fleet = Fleet::built()?;
    let operator = cluster.lab.operator(fleet.programs())?;
    let_in(&cluster, &operator)?;
    let (m1, m2) = (cluster.machine("m1")?, cluster.machine("m2")?);
    m1.write_file(
        "/root/.ssh/id_ed25519",
        fs::read(operator.home().join("key"))?,
    )?;
    m1.read(["chmod", "-R", "go=", "/root/.ssh"])?;
    // a host of old is known by its address, whatever name it goes by now
    let known = "mkdir -m 700 /root/.fleetctl && ssh-keyscan -t ed25519 10.99.0.12 >/root/.fleetctl/known_hosts";
    on(m1, known)?;
    on(
        m1,
        "fleetctl --tunnel m2 list-machines --no-legend </dev/null | wc -l",
    )?
    .expect(0, "2\n")?;
    on(m1, "fleetctl --tunnel m1 list-machines </dev/null")?.complains(1, "unauthorized host")?;
    // ssh goes to the machine that it is on by SSH, too
    for machine in [m1, m2] {
        let line = format!(
            "fleetctl --strict-host-key-checking=false ssh {} hostname",
            machine.id()
        );
        on(m1, &line)?.expect(0, &format!("{}\n", machine.name()))?;
    }
    Ok(())
}
