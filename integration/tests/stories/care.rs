//! What fleet does not do: touch other people's files, accept nonsense, hang without a word.

use anyhow::{Result, ensure};
use integration::Cluster;

use crate::told::{SLEEP, stories};

stories! {
    other_peoples_files_stay(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let path = "/etc/systemd/system/mine.service";
        let text = "[Service]\nExecStart=/bin/sleep 4711\n";
        cluster.machine("m1")?.write_file(path, text)?;
        cluster.write_unit("mine.service", SLEEP)?;
        let output = cluster.try_fleetctl("start mine.service")?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && complaint.contains(path), "{complaint}");
        cluster.fleetctl("destroy mine.service")?;
        cluster.wait_where("mine.service", "is gone", |rows| rows.is_empty().then_some(()))?;
        ensure!(cluster.machine("m1")?.read_file(path)? == text.as_bytes(), "the file was touched");
        Ok(())
    }

    what_the_machine_runs_itself_is_its_own(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let before = cluster.machine("m1")?.main_pid("dbus.service")?;
        cluster.write_unit("dbus.service", SLEEP)?;
        let output = cluster.try_fleetctl("start dbus.service")?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && complaint.contains("runs on this machine already"), "{complaint}");
        cluster.fleetctl("destroy dbus.service")?;
        cluster.wait_where("dbus.service", "is gone", |rows| rows.is_empty().then_some(()))?;
        ensure!(cluster.machine("m1")?.main_pid("dbus.service")? == before, "the machine's own was touched");
        ensure!(cluster.machine("m1")?.read_file("/etc/systemd/system/dbus.service").is_err(), "it is shadowed");
        Ok(())
    }

    what_cannot_be_is_said_in_one_line(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("broken.service", "[Service]\nExecStart=/bin/true\nno equals sign\n")?;
        cluster.write_unit("nowhere.service", &format!("{SLEEP}[X-Fleet]\nMachineMetadata=region=moon\n"))?;
        for (line, word) in [
            ("start broken.service", "line 3"),
            ("start unknown.service", "unknown.service"),
            ("start nowhere.service", "region=moon"),
            ("--endpoint=http://127.0.0.1:9 list-units", "127.0.0.1:9"),
            ("cat unknown.service", "not found"),
        ] {
            let output = cluster.try_fleetctl(line)?;
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(!output.status.success(), "fleetctl {line} is a success");
            ensure!(complaint.contains(word), "fleetctl {line}: {complaint}");
            ensure!(complaint.lines().count() <= 4, "fleetctl {line} is long-winded: {complaint}");
        }
        Ok(())
    }
}
