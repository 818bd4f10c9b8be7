//! Unit names: what is accepted, and which message a bad one gets.
#![allow(clippy::unwrap_used)]

use unitfile::{NameError, UnitName, UnitType, expand};

fn refused(name: &str) -> String {
    UnitName::parse(name).expect_err(name).to_string()
}

#[test]
fn the_first_broken_rule_is_the_message() {
    let long = format!("{}.service", "x".repeat(248));
    let told = [
        ("", "unit name cannot be empty"),
        (&long, "unit name exceeds maximum length (255)"),
        ("foo", r#"unit name must contain ".""#),
        ("foo@ .", r#"unit name cannot end in ".""#),
        ("foo.bar", r#"invalid unit type: "bar""#),
        ("foo.Service", r#"invalid unit type: "Service""#),
        ("f o@x.mount", r#"invalid unit type for template: "mount""#),
        ("f o.service", "invalid character ' ' in unit name"),
        ("fé!.service", "invalid character 'é' in unit name"),
        ("@f\n.service", r"invalid character '\n' in unit name"),
        ("@foo.service", r#"unit name cannot start in "@""#),
        (".service", r#"unit name cannot start in ".""#),
    ];
    for (name, message) in told {
        assert_eq!(refused(name), message, "{name:?}");
    }
}

#[test]
fn types_that_systemd_cannot_load_are_refused() {
    for suffix in ["busname", "scope", "snapshot"] {
        let error = UnitName::parse(&format!("a.{suffix}")).unwrap_err();
        assert_eq!(error, NameError::UnknownType(suffix.to_owned()));
    }
}

#[test]
fn odd_names_of_the_original_are_accepted() {
    let longest = format!("{}.service", "x".repeat(247));
    let odd = [
        r"a\x2db.mount",
        "-x.service",
        "foo.bar.service",
        "foo@@.service",
        "foo@b@.service",
    ];
    for name in odd.into_iter().chain(["foo@1.target", longest.as_str()]) {
        assert_eq!(UnitName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn every_type_is_known_by_its_suffix() {
    for known in UnitType::ALL {
        let name = UnitName::parse(&format!("a.{known}")).unwrap();
        assert_eq!(name.unit_type(), known);
    }
}

#[test]
fn names_fall_into_parts() {
    let parts = |name: &str| {
        let name = UnitName::parse(name).unwrap();
        let template = name.template().map_or("-".to_owned(), |t| t.to_string());
        let instance = name.instance().unwrap_or("-").to_owned();
        format!(
            "{} {} {template} {instance:?} {}",
            name.stem(),
            name.prefix(),
            name.is_template()
        )
    };
    assert_eq!(parts("foo.service"), r#"foo foo - "-" false"#);
    assert_eq!(parts("foo@.service"), r#"foo@ foo - "" true"#);
    assert_eq!(
        parts("foo@bar.service"),
        r#"foo@bar foo foo@.service "bar" false"#
    );
    assert_eq!(
        parts("foo@a@b.c.service"),
        r#"foo@a@b.c foo foo@.service "a@b.c" false"#
    );
}

#[test]
fn specifiers_are_replaced_one_after_the_other() {
    let name = UnitName::parse("foo@bar.service").unwrap();
    assert_eq!(
        expand("%n %N %p %i", &name),
        "foo@bar.service foo@bar foo bar"
    );
    assert_eq!(expand("%%n %H %m %", &name), "%foo@bar.service %H %m %");
    let plain = UnitName::parse("foo.service").unwrap();
    assert_eq!(expand("[%i]", &plain), "[]");
}
