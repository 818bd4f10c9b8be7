//! Files in the unit directory that others have made, changed or made impossible.

use crate::world::{SLEEPS, World, file};

#[tokio::test(start_paused = true)]
async fn a_foreign_file_is_refused_by_name_and_the_others_go_on() {
    let mut on = World::new().await;
    std::fs::write(on.file("ssh.service"), "somebody's").unwrap();
    on.admit().await;
    on.begin();
    on.launch(&[("ssh.service", SLEEPS), ("web.service", SLEEPS)])
        .await;
    on.until_running("web.service").await;
    let state = on
        .until("ssh.service", |state| !state.problem.is_empty())
        .await;
    let path = on.file("ssh.service").display().to_string();
    assert_eq!(
        state.problem,
        format!("{path} is there already and is not fleet's")
    );
    assert_eq!(on.count("start ssh.service"), 0);

    on.unassign(&["ssh.service"]).await;
    on.until_absent("ssh.service").await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "somebody's");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_file_that_goes_makes_way() {
    let mut on = World::new().await;
    std::fs::write(on.file("ssh.service"), "somebody's").unwrap();
    on.admit().await;
    on.begin();
    on.launch(&[("ssh.service", SLEEPS)]).await;
    on.until("ssh.service", |state| !state.problem.is_empty())
        .await;
    std::fs::remove_file(on.file("ssh.service")).unwrap();
    assert_eq!(on.until_running("ssh.service").await.problem, "");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_be_written_is_told_and_tried_again() {
    let mut on = World::at_work().await;
    std::fs::remove_dir(&on.directories.units).unwrap();
    on.launch(&[("web.service", SLEEPS)]).await;
    let state = on
        .until("web.service", |state| !state.problem.is_empty())
        .await;
    let path = on.file("web.service").display().to_string();
    assert_eq!(
        state.problem,
        format!("writing {path}: No such file or directory (os error 2)")
    );
    std::fs::create_dir(&on.directories.units).unwrap();
    assert_eq!(on.until_running("web.service").await.problem, "");
}

#[tokio::test(start_paused = true)]
async fn a_file_edited_by_hand_stops_nothing_and_is_replaced_at_the_next_change() {
    let mut on = World::at_work().await;
    on.launch(&[("web.service", SLEEPS)]).await;
    on.until_running("web.service").await;
    let edited = SLEEPS.replace("100000", "7");
    std::fs::write(on.file("web.service"), &edited).unwrap();
    on.restart_agent().await;
    on.launch(&[("other.service", SLEEPS)]).await;
    on.until_running("other.service").await;
    assert_eq!(on.systemd.orders(), ["start other.service"]);
    assert_eq!(
        std::fs::read_to_string(on.file("web.service")).unwrap(),
        edited
    );

    let next = SLEEPS.replace("100000", "8");
    on.launch(&[("web.service", &next)]).await;
    on.until("web.service", |state| {
        state.hash == file(&next).hash() && state.active == "active"
    })
    .await;
    assert_eq!(
        std::fs::read_to_string(on.file("web.service")).unwrap(),
        next
    );
}
