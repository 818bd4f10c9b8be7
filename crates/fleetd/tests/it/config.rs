//! fleet.conf: each file of `tests/config` is a configuration, the environment after it, and what they mean.

use std::path::Path;

use fleetd::config::{Config, Loaded, options, parse};

use crate::scenario;

#[test]
fn files_and_environments_mean_what_the_scenarios_say() {
    for path in scenario::files("config") {
        let situations = scenario::situations(&std::fs::read_to_string(&path).unwrap());
        let outcomes: Vec<String> = situations.iter().map(|case| meaning(case)).collect();
        scenario::check(&path, &scenario::print(&situations, &outcomes));
    }
}

/// The file is what stands before a line `environment:`, variables are what stands after it.
fn meaning(situation: &str) -> String {
    let (file, environment) = situation
        .split_once("environment:\n")
        .unwrap_or((situation, ""));
    let variable = |line: &str| {
        line.split_once('=')
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let variables = environment.lines().filter_map(variable);
    match parse(Some((Path::new("fleet.conf"), file)), variables) {
        Ok(loaded) => {
            let warnings = loaded
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}"));
            warnings
                .chain(differences(&loaded.config))
                .collect::<Vec<_>>()
                .join("\n")
        }
        Err(error) => format!("error: {error}"),
    }
}

/// The fields that are not as by default, one a line.
fn differences(config: &Config) -> Vec<String> {
    let defaults = fields(&Config::default());
    let fields = fields(config).into_iter();
    fields.filter(|field| !defaults.contains(field)).collect()
}

fn fields(config: &Config) -> Vec<String> {
    let text = format!("{config:#?}");
    let mut fields: Vec<String> = Vec::new();
    for line in text.lines().skip(1) {
        let inner = line.strip_prefix("    ").unwrap_or(line);
        match fields.last_mut() {
            Some(field) if inner.starts_with([' ', '}', ']', ')']) => {
                field.push_str(inner.trim());
            }
            _ => fields.push(inner.to_owned()),
        }
    }
    fields
        .iter()
        .map(|field| field.trim_end_matches(',').to_owned())
        .collect()
}

/// The sample that is installed has every option, as a comment, with the default that the program has.
#[test]
fn the_sample_tells_every_option_and_its_default() {
    let sample = include_str!("../../../../unitfiles/fleet.conf");
    let setting = |line: &'static str| {
        let setting = line.strip_prefix("# ")?;
        let (name, _) = setting.split_once('=')?;
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            .then_some((name, setting))
    };
    let (mut names, settings): (Vec<&str>, Vec<&str>) = sample.lines().filter_map(setting).unzip();
    let text = settings.join("\n");
    let nothing = std::iter::empty();
    let loaded = parse(Some((Path::new("fleet.conf"), &text)), nothing).unwrap();
    assert_eq!(loaded, Loaded::default());
    names.sort_unstable();
    assert_eq!(names, options().collect::<Vec<_>>());
    let untouched = parse(Some((Path::new("fleet.conf"), sample)), std::iter::empty());
    assert_eq!(untouched.unwrap(), Loaded::default());
}
