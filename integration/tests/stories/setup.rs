//! The script that sets up a machine, here and on Vagrant's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use integration::{Fleet, Lab};

/// Programs that stand in for fleet's: the script is the same for both.
fn programs(lab: &Lab, version: &str) -> PathBuf {
    let folder = lab.folder().join("programs");
    fs::create_dir_all(&folder).unwrap();
    let daemon = format!(
        "#!/bin/sh\n# {version}\nsystemd-notify --ready --status='{version}'\nexec sleep infinity\n"
    );
    write_program(&folder.join("fleetd"), &daemon);
    write_program(&folder.join("fleetctl"), "#!/bin/sh\necho fleetctl\n");
    folder
}

/// As cargo does it: a new file in the place of the old one.
fn write_program(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(draft, path).unwrap();
}

#[test]
fn fleet_starts_at_boot_with_its_configuration_and_is_upgraded_in_place() {
    let mut lab = Lab::unique("setup").unwrap();
    let fleet = Fleet::from_folder(programs(&lab, "one"))
        .unwrap()
        .conf("agent_ttl=\"5s\"");
    lab.boot_with(1, |machine| {
        // the stand-in's word comes from a child of it
        machine.write_file(
            "/etc/systemd/system/fleet.service.d/notify.conf",
            "[Service]\nNotifyAccess=all\n",
        )?;
        machine.install(&fleet)
    })
    .unwrap();
    let m1 = lab.machine("m1").unwrap();
    assert_eq!(
        m1.read(["systemctl", "is-active", "fleet.socket", "fleet.service"])
            .unwrap(),
        "active\nactive"
    );
    assert_eq!(
        m1.read(["systemctl", "is-system-running"]).unwrap(),
        "running"
    );
    assert_eq!(
        m1.read(["cat", "/etc/fleet/fleet.conf"]).unwrap(),
        "agent_ttl=\"5s\"\npublic_ip=\"10.99.0.11\""
    );
    assert_eq!(
        m1.read(["stat", "--format=%a", "/etc/fleet/fleet.conf"])
            .unwrap(),
        "600"
    );
    assert_eq!(m1.read(["fleetctl"]).unwrap(), "fleetctl");
    assert!(m1.read(["getent", "group", "fleet"]).is_ok());

    programs(&lab, "two");
    m1.install(&fleet).unwrap();
    let status = || m1.property("fleet.service", "StatusText").unwrap();
    assert_eq!(status(), "one", "what runs is left alone");
    m1.read(["systemctl", "daemon-reload"]).unwrap();
    m1.read(["systemctl", "restart", "fleet.service"]).unwrap();
    assert_eq!(status(), "two");
}

/// As Vagrant does it: the script runs on the machine itself, which is up.
#[test]
fn a_running_machine_is_set_up_and_upgraded() {
    let mut lab = Lab::unique("setup-live").unwrap();
    lab.boot(1).unwrap();
    let m1 = lab.machine("m1").unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let carry = |from: PathBuf, to: &str| m1.write_file(to, fs::read(&from).unwrap()).unwrap();
    carry(here.join("setup-machine.sh"), "/root/setup-machine.sh");
    for unit in ["fleet.service", "fleet.socket", "fleet.conf"] {
        carry(
            here.join("../unitfiles").join(unit),
            &format!("/root/{unit}"),
        );
    }
    m1.write_file(
        "/etc/systemd/system/fleet.service.d/notify.conf",
        "[Service]\nNotifyAccess=all\n",
    )
    .unwrap();
    let line = "sh setup-machine.sh --programs /root --unitfiles /root --enable --now";

    for version in ["one", "two"] {
        let folder = programs(&lab, version);
        for program in ["fleetd", "fleetctl"] {
            carry(folder.join(program), &format!("/root/{program}"));
        }
        m1.read([
            "sh",
            "-c",
            &format!("cd /root && {line} --conf 'verbosity=1'"),
        ])
        .unwrap();
        assert_eq!(
            m1.read(["systemctl", "is-active", "fleet.socket", "fleet.service"])
                .unwrap(),
            "active\nactive"
        );
        assert_eq!(m1.property("fleet.service", "StatusText").unwrap(), version);
    }
    m1.read(["sh", "-c", &format!("cd /root && {line}")])
        .unwrap();
    assert_eq!(
        m1.read_file("/etc/fleet/fleet.conf").unwrap(),
        b"verbosity=1\n",
        "no --conf, no change"
    );
    assert_eq!(
        m1.read(["systemctl", "is-enabled", "fleet.service"])
            .unwrap(),
        "enabled"
    );
}

#[test]
fn a_call_that_misses_something_is_told_what() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup-machine.sh");
    let complaint = |words: &[&str]| {
        let output = std::process::Command::new("sh")
            .arg(&script)
            .args(words)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(&[]).contains("--programs DIR"));
    assert!(complaint(&["--programs", "/p"]).contains("--unitfiles DIR"));
    assert!(complaint(&["--programs"]).contains("--programs wants a value"));
    assert!(complaint(&["--prog"]).contains("unknown option --prog"));
}
