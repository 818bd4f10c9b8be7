//! What the agent believes of systemd holds on a real one.
//!
//! The agent's own conformance suite, which its in-memory systemd passes in every test run, is run here inside a machine.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use integration::{Lab, Machine};

/// The programs that cargo built from a test file of the agent, as it built them for all other tests.
fn test_program(name: &str) -> Result<Vec<u8>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build.args([
        "test",
        "--workspace",
        "--exclude",
        "integration",
        "--no-run",
        "--message-format=json",
    ]);
    let output = build.output().context("running cargo")?;
    ensure!(
        output.status.success(),
        "building the agent's tests: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8(output.stdout)?;
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = built
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .with_context(|| format!("cargo built no test program {name}"))?;
    std::fs::read(&path).with_context(|| format!("reading {path}"))
}

fn run_inside(machine: &Machine, program: &str, how: &str) -> Result<()> {
    let path = format!("/root/{program}");
    machine.write_file(&path, test_program(program)?)?;
    let output = machine.run([
        "sh",
        "-c",
        &format!("chmod +x {path} && FLOTILLA_SYSTEMD=dbus {path} {how} 2>&1"),
    ])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said.contains("test result: ok"),
        "{said}"
    );
    Ok(())
}

#[test]
fn the_agents_picture_of_systemd_is_true() -> Result<()> {
    let mut lab = Lab::unique("conformance")?;
    lab.boot(1)?;
    run_inside(lab.machine("m1")?, "conformance", "--test-threads=1")
}

#[test]
fn the_agent_survives_what_befalls_process_1() -> Result<()> {
    let mut lab = Lab::unique("process-1")?;
    lab.boot(1)?;
    run_inside(lab.machine("m1")?, "pid1", "--ignored --test-threads=1")
}
