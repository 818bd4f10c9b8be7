//! The unit files that a newcomer learns from: every one of them runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use integration::Cluster;

use crate::told::stories;

fn copy_examples(cluster: &Cluster) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../unitfiles/examples");
    for entry in
        std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
    {
        let entry = entry?;
        cluster.write_unit(
            &entry.file_name().to_string_lossy(),
            &std::fs::read_to_string(entry.path())?,
        )?;
    }
    Ok(())
}

stories! {
    every_example_runs(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        copy_examples(cluster)?;
        cluster.fleetctl("start hello.service")?;
        cluster.fleetctl("start ping.service pong.service")?;
        cluster.fleetctl("submit web@.service")?;
        cluster.fleetctl("start web@1 web@2 web@3")?;
        cluster.fleetctl("start monitor.service")?;
        cluster.fleetctl("load backup.service echo.service")?;
        cluster.fleetctl("start backup.timer echo.socket")?;
        cluster.fleetctl("start myapp.service")?;
        ensure!(cluster.wait_active("ping.service")? == cluster.wait_active("pong.service")?);
        let home = cluster.wait_active("myapp.service")?;
        let file = cluster.machine(&home)?.read_file("/etc/systemd/system/myapp.service")?;
        let given = include_str!("../../../unitfiles/examples/myapp.service");
        ensure!(file == given.as_bytes(), "systemd was handed something else:\n{}", String::from_utf8_lossy(&file));
        ensure!(cluster.fleetctl("cat myapp.service")? == given);
        Ok(())
    }
}
