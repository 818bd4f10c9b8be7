//! The `[X-Fleet]` section: how a stored one is read, and what is refused when one is submitted.
#![allow(clippy::unwrap_used)]

use fleet::Requirements;
use fleet::requirements::{Expression, check};
use unitfile::{UnitFile, UnitName};

fn parse(name: &str, section: &str) -> (UnitName, UnitFile) {
    let file = UnitFile::parse(format!("[X-Fleet]\n{section}").as_bytes()).unwrap();
    (UnitName::parse(name).unwrap(), file)
}

fn read(section: &str) -> Requirements {
    let (name, file) = parse("app@7.service", section);
    Requirements::of(&name, &file)
}

fn refused(section: &str) -> String {
    let (name, file) = parse("app@7.service", section);
    check(&name, &file).expect_err(section).to_string()
}

fn accepted(name: &str, section: &str) {
    let (name, file) = parse(name, section);
    check(&name, &file).unwrap();
}

#[test]
fn quoted_lists_are_split_to_the_letter() {
    let told: [(&str, &[&str]); 13] = [
        (r#""a=b" "c=d""#, &["a=b", "c=d"]),
        (r#""a=b"  "c=d""#, &["a=b", "", "c=d"]),
        ("\"a=b\"\t\"c=d\"", &["a=b\tc=d"]),
        (r#""a" b "c""#, &["a", "b", "c"]),
        (r#""a=b""c=d""#, &["a=bc=d"]),
        (r#""a=b" c=d"#, &[r#""a=b" c=d"#]),
        (r#"a=b "c=d""#, &[r#"a=b "c=d""#]),
        ("'a=b' 'c=d'", &["'a=b' 'c=d'"]),
        (r#""a=b c=d""#, &["a=b c=d"]),
        (r#"" true""#, &[" true"]),
        (r#"""#, &[""]),
        (r#""""#, &[""]),
        ("", &[""]),
    ];
    for (value, items) in told {
        assert_eq!(
            peers(&read(&format!("MachineOf={value}"))),
            items,
            "{value}"
        );
    }
}

#[test]
fn lines_of_one_key_add_up_with_the_legacy_key_first() {
    let wanted = read("MachineOf=b.service\nX-ConditionMachineOf=a.service\nMachineOf=\"c\" \"d\"");
    assert_eq!(peers(&wanted), ["a.service", "b.service", "c", "d"]);
    let wanted = read("Conflicts=b  c\nX-Conflicts=a");
    assert_eq!(wanted.conflicts, ["a", "b", "c"]);
}

#[test]
fn conflicts_are_split_at_white_space_after_expansion_and_replaces_are_not() {
    let wanted = read("Conflicts=\"%p@*.service  x\"\nConflicts=\nReplaces=a b\nReplaces=%n");
    assert_eq!(wanted.conflicts, ["app@*.service", "x"]);
    assert_eq!(wanted.replaces, ["a b", "app@7.service"]);
}

#[test]
fn the_first_machine_id_wins_in_the_order_of_keys() {
    let all = "X-ConditionMachineBootID=boot\nX-ConditionMachineID=old\n";
    let id = |section: &str| read(section).machine_id;
    assert_eq!(
        id(&format!("{all}MachineID=first\nMachineID=second")),
        Some("first".into())
    );
    assert_eq!(id(all), Some("old".into()));
    assert_eq!(id("X-ConditionMachineBootID=boot"), Some("boot".into()));
    assert_eq!(id("MachineID="), Some(String::new()));
    assert_eq!(id("MachineID=%p%i"), Some("app7".into()));
    assert_eq!(id("MachineBootID=x"), None);
}

#[test]
fn metadata_is_read_by_key_and_what_is_malformed_is_left_out() {
    let wanted = read(
        "MachineMetadata=\"region=eu\" \"region=us\"\nX-ConditionMachineMetadata=slot=%i\n\
         MachineMetadata=a=b c=d e=f\nMachineMetadata=a=\nMachineMetadata==b\nMachineMetadata=a\nMachineMetadata= x =y",
    );
    let told: Vec<String> = wanted
        .demand
        .metadata
        .iter()
        .map(|(key, values)| format!("{key}:{values:?}"))
        .collect();
    assert_eq!(
        told,
        [r#"region:{"eu", "us"}"#, r#"slot:{"7"}"#, r#"x :{"y"}"#]
    );
}

#[test]
fn global_is_what_its_last_item_says() {
    for value in ["true", "True", "YES", "1", "on", "t", "no\nGlobal=true"] {
        assert!(read(&format!("Global={value}")).global, "{value}");
    }
    for value in ["y", "false", "", "\" true\"", "2", "true\nGlobal=no"] {
        assert!(!read(&format!("Global={value}")).global, "{value}");
    }
}

#[test]
fn forbidden_combinations_come_in_the_original_order() {
    let (id, of, conflicts) = ("MachineID=a\n", "MachineOf=p.service\n", "Conflicts=c*\n");
    let (global, replaces) = ("Global=true\n", "Replaces=r*\n");
    let told = [
        (
            vec![id, of, conflicts, global, replaces],
            "MachineID cannot be used with Peers",
        ),
        (
            vec![id, conflicts, global, replaces],
            "MachineID cannot be used with Conflicts",
        ),
        (
            vec![id, global, replaces],
            "MachineID cannot be used with Global",
        ),
        (vec![id, replaces], "MachineID cannot be used with Replaces"),
        (
            vec![global, of, replaces],
            "Global cannot be used with Peers",
        ),
        (
            vec![global, replaces, conflicts],
            "Global cannot be used with Replaces",
        ),
        (
            vec![conflicts, replaces],
            "Conflicts cannot be used with Replaces",
        ),
    ];
    for (section, message) in told {
        assert_eq!(refused(&section.concat()), message);
    }
}

#[test]
fn legal_combinations_are_accepted() {
    let metadata = "MachineMetadata=a=b\n";
    for section in [
        "MachineID=a\n",
        "MachineOf=p.service\nConflicts=c*\n",
        "MachineOf=p.service\nReplaces=r*\n",
        "Global=true\nConflicts=c*\n",
        "Global=false\nReplaces=r*\nMachineOf=p.service\n",
    ] {
        accepted("app.service", &format!("{section}{metadata}"));
    }
}

#[test]
fn a_peer_must_not_be_one_that_is_kept_away() {
    assert_eq!(
        refused("MachineOf=p.service\nConflicts=x\nConflicts=p*"),
        r#"unresolvable requirements: peer "p.service" matches conflict "p*""#
    );
    assert_eq!(
        refused("MachineOf=p.service\nReplaces=p*\nMachineID=a"),
        r#"unresolvable requirements: peer "p.service" matches replace "p*""#
    );
    assert_eq!(
        refused("MachineOf=%p.service\nConflicts=app.service"),
        r#"unresolvable requirements: peer "app.service" matches conflict "app.service""#
    );
}

#[test]
fn what_a_stored_unit_is_forgiven_is_refused_at_the_door() {
    assert_eq!(
        refused("Bogus=1"),
        r#"unrecognized requirement in [X-Fleet] section: "Bogus""#
    );
    assert_eq!(
        refused("machineid=1"),
        r#"unrecognized requirement in [X-Fleet] section: "machineid""#
    );
    assert_eq!(
        refused("MachineMetadata=a=b c=d"),
        r#"invalid MachineMetadata "a=b c=d": expected key=value"#
    );
    assert_eq!(
        refused("Conflicts=[a"),
        r#"invalid pattern "[a": syntax error"#
    );
    // the original's own rules come first
    assert_eq!(
        refused("Bogus=1\nGlobal=1\nMachineOf=x"),
        "Global cannot be used with Peers"
    );
}

#[test]
fn a_template_is_checked_with_its_specifiers_as_they_stand() {
    accepted("app@.service", "MachineMetadata=slot=%i");
    assert_eq!(
        refused("MachineMetadata=slot=%i="),
        r#"invalid MachineMetadata "slot=7=": expected key=value"#
    );
}

fn peers(wanted: &Requirements) -> Vec<&str> {
    wanted.peers.iter().map(|peer| peer.name.as_str()).collect()
}

#[test]
fn options_that_the_original_does_not_have_are_read() {
    let wanted = read(
        "Constraint=zone in (a, b)\nPrefer=80 disk=ssd\nAvoid=spot\nSpread=zone\nAvoidUnits=%p@*.service\n\
         MaxPerMachine=2\nMemoryReservation=1.5G\nCPUReservation=50%\nMoveDelaySec=1h 30min\nSticky=yes\n\
         MoveOrder=start-first\nMachineOf=all:redis@*.service",
    );
    let demand = &wanted.demand;
    assert_eq!(demand.constraints[0].to_string(), "zone in (a, b)");
    let preferences = demand
        .preferences
        .iter()
        .map(|(weight, it)| (*weight, it.to_string()));
    let expected = [(-80, "disk=ssd".to_owned()), (50, "spot".to_owned())];
    assert_eq!(preferences.collect::<Vec<_>>(), expected);
    assert_eq!(demand.spread, [(50, "zone".to_owned())]);
    assert_eq!(wanted.avoid_units, [(50, "app@*.service".to_owned())]);
    assert_eq!(wanted.max_per_machine, Some(2));
    assert_eq!(
        (wanted.reservation.memory, wanted.reservation.cpu),
        (3 << 29, 500)
    );
    assert_eq!((wanted.move_delay, wanted.sticky), (5400, true));
    assert!(wanted.start_first);
    assert!(wanted.peers[0].all && wanted.peers[0].is_pattern());
}

#[test]
fn what_systemd_holds_a_unit_to_is_its_reservation_unless_it_names_one() {
    let of = |text: &str| {
        let file = UnitFile::parse(text.as_bytes()).unwrap();
        let name = UnitName::parse("a.service").unwrap();
        Requirements::of(&name, &file).reservation
    };
    let limited = "[Service]\nMemoryMax=2G\nCPUQuota=150%\n";
    assert_eq!((of(limited).memory, of(limited).cpu), (2 << 30, 1500));
    assert_eq!(of(&format!("{limited}MemoryHigh=1G\n")).memory, 1 << 30);
    let both = format!("{limited}[X-Fleet]\nMemoryReservation=1M\nCPUReservation=1%\n");
    assert_eq!((of(&both).memory, of(&both).cpu), (1 << 20, 10));
    for none in [
        "MemoryMax=infinity",
        "MemoryMax=50%",
        "MemoryMax=much",
        "CPUQuota=",
    ] {
        assert!(of(&format!("[Service]\n{none}\n")).is_none(), "{none}");
    }
}

#[test]
fn expressions_over_metadata() {
    let metadata = [("zone", "a"), ("cores", "16"), ("os", "debian-12")];
    let metadata = metadata
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let holds = |text: &str| Expression::parse(text).unwrap().holds(&metadata);
    for text in [
        "zone=a",
        "zone==a",
        " zone = a ",
        "zone!=b",
        "rack!=b",
        "zone in (a, b)",
        "zone not in (b,c)",
        "rack not in (b)",
        "cores>8",
        "cores>=16",
        "cores<16.5",
        "cores<=16",
        "zone",
        "!rack",
        "os=~debian-.*",
        "os!~ubuntu.*",
        "rack!~.*",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "zone=b",
        "rack=b",
        "zone in (b)",
        "zone not in (a)",
        "cores>16",
        "cores<4",
        "zone<4",
        "rack<4",
        "rack",
        "!zone",
        "os=~debian",
        "rack=~.*",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn what_is_no_value_of_an_option_is_refused_by_name() {
    for (line, error) in [
        (
            "Constraint=",
            r#"invalid Constraint "": expected a metadata key, such as `zone` in `zone=a`"#,
        ),
        (
            "Constraint=zone=",
            r#"invalid Constraint "zone=": nothing follows `=`"#,
        ),
        (
            "Constraint=cores>many",
            r#"invalid Constraint "cores>many": `many` is not a number"#,
        ),
        (
            "Constraint=zone in a",
            r#"invalid Constraint "zone in a": expected a list such as `(a, b)` after `in`"#,
        ),
        (
            "Constraint=os=~(",
            r#"invalid Constraint "os=~(": malformed regular expression `(`"#,
        ),
        (
            "Prefer=101 zone=a",
            r#"invalid Prefer "101 zone=a": expected a weight from 1 to 100, or none, and what it is about"#,
        ),
        ("AvoidUnits=[a", r#"invalid pattern "[a": syntax error"#),
        (
            "MaxPerMachine=0",
            r#"invalid MaxPerMachine "0": expected a number from 1"#,
        ),
        (
            "MemoryReservation=50%",
            r#"invalid MemoryReservation "50%": expected a size such as 512M"#,
        ),
        (
            "CPUReservation=2",
            r#"invalid CPUReservation "2": expected a share such as 50%"#,
        ),
        (
            "MoveDelaySec=soon",
            r#"invalid MoveDelaySec "soon": expected a time such as 90 or 5min"#,
        ),
        (
            "Fence=maybe",
            r#"invalid Fence "maybe": expected yes or no"#,
        ),
        ("Fence=yes\nGlobal=true", "Global cannot be used with Fence"),
        (
            "Global=true\nMoveOrder=start-first",
            "Global cannot be used with MoveOrder=start-first",
        ),
        (
            "Global=true\nRescheduleAfter=3",
            "Global cannot be used with RescheduleAfter",
        ),
        (
            "Fence=yes\n[Service]\nTimeoutStopSec=infinity",
            "Fence= needs a finite TimeoutStopSec=",
        ),
    ] {
        assert_eq!(refused(line), error, "{line}");
    }
}
