//! Unit types beside services: each goes the whole way through the cluster, as far as a container allows.

use anyhow::{Context, Result, ensure};
use integration::Cluster;

use crate::told::{SLEEP, stories};

/// Starts a unit, which must become active; takes it away again, and everything of it must be gone.
fn there_and_back(cluster: &Cluster, name: &str, text: &str, sub: &str) -> Result<()> {
    cluster
        .start(name, text)
        .with_context(|| format!("starting {name}"))?;
    cluster.wait_where(name, &format!("is {sub}"), |rows| match rows {
        [row] if row.active == "active" && row.sub == sub => Some(()),
        _ => None,
    })?;
    cluster.fleetctl(&format!("stop {name}"))?;
    ensure!(
        cluster.machine("m1")?.property(name, "ActiveState")? == "inactive",
        "{name} has stopped"
    );
    cluster.fleetctl(&format!("destroy {name}"))?;
    cluster.wait_where(name, "is gone", |rows| rows.is_empty().then_some(()))?;
    let file =
        cluster
            .machine("m1")?
            .run(["test", "-e", &format!("/etc/systemd/system/{name}")])?;
    ensure!(!file.status.success(), "the file of {name} is left behind");
    Ok(())
}

stories! {
    every_type_that_systemd_loads_from_a_file(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")?;
        cluster.fleetctl("load once.service")?;
        there_and_back(cluster, "scratch.mount", "[Mount]\nWhat=tmpfs\nWhere=/scratch\nType=tmpfs\n", "mounted")?;
        there_and_back(cluster, "once.timer", "[Timer]\nOnActiveSec=1h\nUnit=once.service\n", "waiting")?;
        there_and_back(cluster, "drop.path", "[Path]\nPathExists=/root/never\nUnit=once.service\n", "waiting")?;
        there_and_back(cluster, "talk.socket", "[Socket]\nListenStream=/run/talk.sock\nService=once.service\n", "listening")?;
        Ok(())
    }

    types_that_the_command_line_takes_by_the_api_only(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the original's command line takes `all.target` for `all.target.service`; its API takes it as it is
        let put = |name: &str, section: &str, option: &str, value: &str| -> Result<String> {
            let body = format!(r#"{{"desiredState":"launched","options":[{{"section":"{section}","name":"{option}","value":"{value}"}}]}}"#);
            cluster.machine("m1")?.read([
                "curl", "--silent", "--write-out", "%{http_code}", "--unix-socket", "/run/fleet.sock", "--request", "PUT",
                "--header", "Content-Type: application/json", "--data", &body, &format!("http://fleet/fleet/v1/units/{name}"),
            ])
        };
        ensure!(put("all.target", "Unit", "Description", "all of it")? == "201");
        ensure!(put("work.slice", "Slice", "CPUWeight", "50")? == "201");
        for (name, sub) in [("all.target", "active"), ("work.slice", "active")] {
            cluster.wait_where(name, "is active", |rows| match rows {
                [row] if row.active == "active" && row.sub == sub => Some(()),
                _ => None,
            })?;
        }
        // what systemd makes itself and reads from no file is refused with a sentence
        for name in ["x.scope", "x.snapshot", "x.busname"] {
            let answer = put(name, "Unit", "Description", "none")?;
            ensure!(answer.ends_with("400") && answer.contains("\"message\":\""), "{name}: {answer}");
        }
        let delete = |name: &str| cluster.machine("m1")?.read([
            "curl", "--silent", "--unix-socket", "/run/fleet.sock", "--request", "DELETE", &format!("http://fleet/fleet/v1/units/{name}"),
        ]);
        for name in ["all.target", "work.slice"] {
            delete(name)?;
            cluster.wait_where(name, "is gone", |rows| rows.is_empty().then_some(()))?;
        }
        Ok(())
    }

    install_sections_are_for_the_run_time_of_the_machine(1)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.start("main.service", SLEEP)?;
        let side = format!("{SLEEP}[Install]\nWantedBy=main.service\nAlias=side-by-side.service\n");
        cluster.start("side@1.service", &side.replace("Alias=side-by-side.service\n", ""))?;
        cluster.start("side.service", &side)?;
        let m1 = cluster.machine("m1")?;
        let wants = m1.property("main.service", "Wants")?;
        ensure!(wants.contains("side.service") && wants.contains("side@1.service"), "{wants}");
        ensure!(m1.property("side.service", "Names")?.contains("side-by-side.service"));
        let links = m1.read(["sh", "-c", "find /etc/systemd/system -type l -lname '*side*' | wc -l"])?;
        ensure!(links == "0", "nothing that outlives the boot");
        // an [Install] section that makes no sense is told, and blocks nobody
        cluster.write_unit("odd.service", &format!("{SLEEP}[Install]\nAlias=odd.socket\n"))?;
        cluster.write_unit("next.service", SLEEP)?;
        cluster.try_fleetctl("start --block-attempts=3 odd.service next.service")?;
        ensure!(cluster.wait_active("next.service")? == "m1");
        cluster.fleetctl("destroy odd.service side.service side@1.service main.service next.service")?;
        for unit in ["odd.service", "side.service", "side@1.service", "main.service"] {
            cluster.wait_where(unit, "is gone", |rows| rows.is_empty().then_some(()))?;
        }
        let left = m1.read(["sh", "-c", "find /run/systemd/system -name '*side*' | wc -l"])?;
        ensure!(left == "0", "links are left behind");
        Ok(())
    }
}
