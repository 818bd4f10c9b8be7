//! `GET /fleet/v2/units/NAME/why`: why a unit is where it is, or on no machine.

use fleet::schedule::{Refusal, nearest};
use fleet::v2::{Claimed, MachineVerdict, Obstacle, Why};
use fleet::{Cluster, MachineId, requirements};
use unitfile::UnitName;

use super::{status, terms};
use crate::mirror::Picture;

/// What there is to say of the unit of this name; none if there is no such unit.
pub(super) fn of(picture: &mut Picture, name: &UnitName) -> Option<Why> {
    let status = status::of(picture, name.as_str());
    let (cluster, survey) = picture.surveyed(&terms());
    let unit = cluster.units.get(name)?;
    let file = cluster.files.get(&unit.hash);
    let asks = file
        .into_iter()
        .flat_map(|record| record.file.section(requirements::SECTION));
    let obstacles = survey.obstacles(name);
    let fits = |(_, refusals): &(MachineId, Vec<Refusal>)| refusals.is_empty();
    let nearest = nearest(&obstacles).filter(|machine| !fits(machine));
    Some(Why {
        status,
        claim: claim(cluster, name),
        asks: asks
            .map(|option| format!("{}={}", option.name, option.value))
            .collect(),
        nearest_machine_id: nearest.map(|(id, _)| id.to_string()).unwrap_or_default(),
        machines: obstacles
            .iter()
            .map(|(id, refusals)| verdict(cluster, name, id, refusals))
            .collect(),
    })
}

/// Who else than the unit's machine may be running it, and how long that is sure to be over after.
fn claim(cluster: &Cluster, name: &UnitName) -> Option<Claimed> {
    let claim = cluster.claims.get(name)?;
    if cluster.targets.get(name) == Some(&claim.machine) {
        return None;
    }
    let live = cluster.machines.contains_key(&claim.machine);
    let away = cluster.away.get(&claim.machine).filter(|_| !live);
    // when it went is forgotten after a while: then it is less, and nobody knows how much
    let left = away.map_or(claim.stop, |away| away.left(claim.stop, terms().now));
    Some(Claimed {
        machine_id: claim.machine.to_string(),
        live,
        seconds: left.as_secs(),
    })
}

fn verdict(
    cluster: &Cluster,
    name: &UnitName,
    id: &MachineId,
    refusals: &[Refusal],
) -> MachineVerdict {
    let rows = cluster.schedule.get(id);
    let hash = cluster.units.get(name).map(|unit| unit.hash);
    let failed = cluster.failed.get(name);
    let obstacle = |refusal: &Refusal| Obstacle {
        reason: refusal.to_string(),
        cure: refusal.cure(),
    };
    MachineVerdict {
        machine_id: id.to_string(),
        primary_ip: status::address(cluster, id),
        scheduled: rows.is_some_and(|rows| rows.contains_key(name)),
        units: rows.map_or(0, |rows| rows.len()),
        failed: failed.is_some_and(|failed| failed.machine == *id && Some(failed.hash) == hash),
        obstacles: refusals.iter().map(obstacle).collect(),
    }
}
