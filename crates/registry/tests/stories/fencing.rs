//! Who may run a fenced unit.

use std::time::Duration;

use fleet::fence::Vigil;
use fleet::schedule::{Change, Reason};
use registry::{Claiming, Expected, Leadership, MemberError, Membership};
use unitfile::{Hash, UnitName};

use crate::sample::{TTL, assign, file, id, join, launched, lead, machine, unit, write};
use crate::server::{PREFIX, Server};

const STOP: Duration = Duration::from_secs(7);

on_both!(
    a_unit_is_claimed_by_one_machine_at_a_time,
    a_unit_that_is_not_on_the_schedule_is_not_claimed,
    who_has_claimed_a_unit_starts_it_no_more_once_it_is_to_be_elsewhere,
    a_claim_of_an_earlier_boot_is_taken_over,
    a_claim_lapses_when_its_machine_is_gone_for_long_enough,
    a_claim_of_what_may_take_for_ever_to_stop_does_not_lapse,
    a_machine_that_came_back_keeps_its_claim,
    a_claim_that_makes_no_sense_keeps_everybody_away_but_its_maker,
);

async fn a_unit_is_claimed_by_one_machine_at_a_time(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let (mut leader, db, hash) = given_to("m1", &one).await;
    let Claiming::Held(first) = claimed_by(&one, hash, false).await else {
        panic!("it is ours");
    };
    // as after a restart of fleetd
    assert_eq!(claimed_by(&one, hash, false).await, Claiming::Held(first));
    assert_eq!(one.claims().await.unwrap()[&db], first);

    leader.commit(&[moved(hash)]).await.unwrap();
    let waits = claimed_by(&two, hash, false).await;
    assert_eq!(waits, Claiming::HeldBy(id("m1")));
    // not theirs to give back
    two.release(&db).await.unwrap();
    assert_eq!(claimed_by(&two, hash, false).await, waits);
    one.release(&db).await.unwrap();
    let Claiming::Held(second) = claimed_by(&two, hash, false).await else {
        panic!("nobody has it");
    };
    assert!(second > first);
}

async fn a_unit_that_is_not_on_the_schedule_is_not_claimed(server: Server) {
    let registry = server.registry().await;
    let one = join(&registry, "m1").await;
    let (db, hash) = (unit("db.service"), file("db").hash());
    let claim = claimed_by(&one, hash, false).await;
    assert_eq!(claim, Claiming::NotOurs);
    registry
        .put_units(&[write("db.service", &file("db"), Expected::Absent)])
        .await
        .unwrap();
    let mut leader = lead(&one).await;
    leader
        .commit(&[assign("db.service", "m1", file("other").hash())])
        .await
        .unwrap();
    let claim = claimed_by(&one, hash, false).await;
    assert_eq!(claim, Claiming::NotOurs, "another file is");
    one.leave().await.unwrap();
    let claim = one
        .claim(&db, &launched(file("other").hash()), STOP, false)
        .await;
    assert!(matches!(claim, Err(MemberError::NotMember(_))), "{claim:?}");
}

/// Such as a machine that comes back and does not know yet that its unit has been moved: the claim is not taken away before that
/// has served its time.
async fn who_has_claimed_a_unit_starts_it_no_more_once_it_is_to_be_elsewhere(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let (mut leader, _, hash) = given_to("m1", &one).await;
    let held = claimed_by(&one, hash, false).await;
    leader.commit(&[moved(hash)]).await.unwrap();
    assert_eq!(claimed_by(&one, hash, false).await, Claiming::NotOurs);
    assert_eq!(
        claimed_by(&two, hash, false).await,
        Claiming::HeldBy(id("m1"))
    );
    let back = assign("db.service", "m1", hash);
    leader.commit(&[back]).await.unwrap();
    assert_eq!(claimed_by(&one, hash, false).await, held);
}

async fn a_claim_of_an_earlier_boot_is_taken_over(server: Server) {
    let registry = server.registry().await;
    let one = join(&registry, "m1").await;
    let (_, _, hash) = given_to("m1", &one).await;
    let before = claimed_by(&one, hash, false).await;
    one.leave().await.unwrap();
    let booted = registry.join(&machine("m1", "boot-2"), TTL).await.unwrap();
    assert!(booted.claims().await.unwrap().is_empty());
    let after = claimed_by(&booted, hash, false).await;
    let (Claiming::Held(before), Claiming::Held(after)) = (before, after) else {
        panic!("both are ours");
    };
    assert!(after > before);
}

async fn a_claim_lapses_when_its_machine_is_gone_for_long_enough(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let (leader, db, hash) = given_to("m2", &one).await;
    claimed_by(&two, hash, false).await;
    let mut mirror = registry.mirror().await;
    let mut vigil = Vigil::default();
    let start = Duration::from_secs(1000);
    assert!(vigil.lapsed(mirror.cluster(), start).is_empty());
    assert_eq!(vigil.next(), None);

    two.leave().await.unwrap();
    while mirror.cluster().machines.contains_key("m2") {
        mirror.changed().await;
    }
    let seen = start + Duration::from_secs(100);
    assert!(
        vigil.lapsed(mirror.cluster(), seen).is_empty(),
        "it may run still"
    );
    assert_eq!(vigil.next(), Some(seen + STOP));
    let lapsed = vigil.lapsed(mirror.cluster(), seen + STOP);
    let [(name, claim)] = &lapsed[..] else {
        panic!("{lapsed:?}");
    };
    leader.lapse(name, claim).await.unwrap();
    while mirror.cluster().claims.contains_key(&db) {
        mirror.changed().await;
    }
}

async fn a_claim_of_what_may_take_for_ever_to_stop_does_not_lapse(server: Server) {
    let registry = server.registry().await;
    let one = join(&registry, "m1").await;
    let (_, db, hash) = given_to("m1", &one).await;
    let claim = one.claim(&db, &launched(hash), Duration::MAX, false).await;
    assert!(matches!(claim, Ok(Claiming::Held(_))), "{claim:?}");
    one.leave().await.unwrap();
    let picture = registry.mirror().await.cluster().clone();
    let mut vigil = Vigil::default();
    let year = Duration::from_secs(365 * 24 * 3600);
    for years in 1..100 {
        assert!(vigil.lapsed(&picture, years * year).is_empty());
    }
}

async fn a_machine_that_came_back_keeps_its_claim(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let (leader, db, hash) = given_to("m2", &one).await;
    claimed_by(&two, hash, false).await;
    two.leave().await.unwrap();
    let picture = registry.mirror().await.cluster().clone();
    let mut vigil = Vigil::default();
    vigil.lapsed(&picture, Duration::ZERO);
    let lapsed = vigil.lapsed(&picture, STOP);
    assert_eq!(lapsed.len(), 1);
    // the picture is old by now
    let back = join(&registry, "m2").await;
    for (unit, claim) in &lapsed {
        leader.lapse(unit, claim).await.unwrap();
    }
    assert!(back.claims().await.unwrap().contains_key(&db));
}

async fn a_claim_that_makes_no_sense_keeps_everybody_away_but_its_maker(server: Server) {
    let registry = server.registry().await;
    let (one, two) = (join(&registry, "m1").await, join(&registry, "m2").await);
    let (mut leader, db, hash) = given_to("m1", &one).await;
    claimed_by(&one, hash, false).await;
    let garbage = Claiming::Garbage(format!("{PREFIX}fence/db.service"));

    server.put("fence/db.service", "!").await;
    let claim = claimed_by(&one, hash, false).await;
    assert_eq!(
        claim, garbage,
        "who has not run it cannot tell whose it was"
    );
    let claim = claimed_by(&one, hash, true).await;
    assert!(matches!(claim, Claiming::Held(_)), "{claim:?}");

    server.put("fence/db.service", "!").await;
    leader.commit(&[moved(hash)]).await.unwrap();
    let claim = claimed_by(&two, hash, false).await;
    assert_eq!(claim, garbage);
    one.release(&db).await.unwrap();
    let claim = claimed_by(&two, hash, false).await;
    assert!(matches!(claim, Claiming::Held(_)), "{claim:?}");
}

/// The unit of these stories is given to a machine, by a leader who is a member.
async fn given_to(machine: &str, member: &Membership) -> (Leadership, UnitName, Hash) {
    let mut leader = lead(member).await;
    let hash = file("db").hash();
    let assigned = assign("db.service", machine, hash);
    leader.commit(&[assigned]).await.unwrap();
    (leader, unit("db.service"), hash)
}

/// A machine claims it.
async fn claimed_by(member: &Membership, hash: Hash, again: bool) -> Claiming {
    let (db, assignment) = (unit("db.service"), launched(hash));
    let claim = member.claim(&db, &assignment, STOP, again).await;
    claim.unwrap()
}

/// The unit of these stories goes from one machine to the other.
fn moved(hash: Hash) -> Change {
    Change::Move {
        unit: unit("db.service"),
        from: id("m1"),
        to: id("m2"),
        assignment: launched(hash),
        reason: Reason::NotWanted,
    }
}
