//! Somebody sets the clock while units wait for a machine.
#![allow(clippy::unwrap_used)]

use registry::{Expected, UnitWrite};
use unitfile::{UnitFile, UnitName};

use super::*;
use crate::entropy;

/// `MoveDelaySec=`, and as the clock is set.
const DELAY: Duration = Duration::from_secs(600);
const HOUR: i64 = 3_600;

#[test]
fn a_clock_that_is_set_neither_cuts_a_delay_short_nor_makes_it_longer() {
    for (seed, steps) in [(1, [HOUR, 0]), (2, [-HOUR, 0]), (3, [HOUR, -2 * HOUR])] {
        let story = std::thread::spawn(move || {
            entropy::seed(Chance::new(seed));
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(Box::pin(story(seed, steps)));
        });
        story.join().unwrap();
    }
}

async fn story(seed: u64, steps: [i64; 2]) {
    let mut world = Box::pin(World::new(Chance::new(seed), Trace::new(false)))
        .await
        .unwrap();
    world.settle().await;
    for number in 1..=4 {
        launch(&world, number).await;
    }
    world.settle().await;
    let cluster = world.mirror.cluster();
    let before = cluster.targets.clone();
    let leader = cluster.leader.clone().unwrap();
    let victim = before.values().find(|id| **id != leader).unwrap().clone();

    let link = world.new_link();
    let host = world.hosts.get_mut(&victim).unwrap();
    host.lose_power(link).await.unwrap();
    for step in steps {
        entropy::set_clock(step);
        // the leader looks at its picture meanwhile
        sleep(DELAY / 2 - Duration::from_secs(1)).await;
        world.catch_up().await;
        let cluster = world.mirror.cluster();
        assert_eq!(cluster.targets, before, "nothing has moved after {step} s");
        assert_eq!(cluster.leader, Some(leader.clone()));
        assert_eq!(cluster.machines.len(), world.hosts.len() - 1);
    }
    sleep(world.ttl + Duration::from_secs(10)).await;
    world.catch_up().await;
    for (unit, machine) in &world.mirror.cluster().targets {
        assert_ne!(*machine, victim, "{unit} has waited long enough");
        assert!(
            before[unit] == victim || before[unit] == *machine,
            "{unit} was moved"
        );
    }
}

async fn launch(world: &World, number: u32) {
    let text = format!(
        "[Service]\nExecStart=/bin/sleep {number}\n[X-Fleet]\nMoveDelaySec={}\n",
        DELAY.as_secs()
    );
    let file = UnitFile::parse(text.as_bytes()).unwrap();
    let write = UnitWrite {
        name: UnitName::parse(&format!("patient{number}.service")).unwrap(),
        hash: file.hash(),
        file: Some(&file),
        desired: DesiredState::Launched,
        expected: Expected::Absent,
    };
    let registry = world.hosts.values().find_map(Host::api).unwrap();
    registry.put_units(&[write]).await.unwrap();
}
