//! `fleetctl events [UNIT|MACHINE…]`: what has happened, and why.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fleet::v2::Event;

use crate::args::{Events as Options, Output, Since};
use crate::client::Client;
use crate::legend::machine;
use crate::listing::{self, Column, Context, dash};
use crate::names::Argument;
use crate::table::Growing;
use crate::{calendar, output};

const COLUMNS: [Column<Event>; 5] = [
    Column {
        name: "time",
        cell: |event, context| calendar::print(event.time, context.full),
    },
    Column {
        name: "what",
        cell: |event, _| dash(&event.what),
    },
    Column {
        name: "unit",
        cell: |event, _| unit(event),
    },
    Column {
        name: "machine",
        cell: place,
    },
    Column {
        name: "reason",
        cell: reason,
    },
];

pub(crate) async fn run(client: &Client, options: &Options) -> anyhow::Result<ExitCode> {
    let mut printer = Printer::new(options)?;
    let query = query(options);
    let failed = "Error retrieving events";
    if !options.follow {
        let events = client.events(&query).await.context(failed)?;
        if events.is_empty() && options.lines != "0" {
            output::warn(&nothing(options));
        }
        printer.print(&events);
        return Ok(ExitCode::SUCCESS);
    }
    let mut events = client.follow_events(&query).await.context(failed)?;
    while printer.print(&events.next().await.context(failed)?) {}
    Ok(ExitCode::SUCCESS)
}

/// Prints events as they come.
struct Printer<'a> {
    options: &'a Options,
    columns: Vec<&'a Column<Event>>,
    context: Context,
    table: Growing,
    /// The header has been printed, or is not wanted.
    headed: bool,
}

impl<'a> Printer<'a> {
    fn new(options: &'a Options) -> anyhow::Result<Self> {
        Ok(Printer {
            options,
            columns: listing::select(&COLUMNS, &options.fields)?,
            context: Context {
                full: options.full,
                ..Context::default()
            },
            table: Growing::default(),
            headed: options.no_legend,
        })
    }

    /// False if nobody reads it any more.
    fn print(&mut self, events: &[Event]) -> bool {
        let text = match self.options.output {
            Output::Json => json(events),
            Output::Text => self.rows(events),
        };
        output::goes_on(&text)
    }

    fn rows(&mut self, events: &[Event]) -> String {
        let columns = self.columns.iter();
        let header = columns.map(|column| column.name.to_uppercase()).collect();
        let header = (!std::mem::replace(&mut self.headed, true)).then_some(header);
        let cells = |event| {
            let columns = self.columns.iter();
            columns
                .map(|column| (column.cell)(event, &self.context))
                .collect()
        };
        let rows: Vec<Vec<String>> = header.into_iter().chain(events.iter().map(cells)).collect();
        self.table.render(&rows)
    }
}

/// A line each.
fn json(events: &[Event]) -> String {
    let lines = events.iter();
    let lines = lines.filter_map(|event| serde_json::to_string(event).ok());
    lines.map(|line| line + "\n").collect()
}

/// What the API is asked. A word may be a unit's name or the beginning of a machine's id, and either may be gone by now.
fn query(options: &Options) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    if options.lines != "all" {
        query.push(("lines", options.lines.clone()));
    }
    let since = options.since.map(|since| match since {
        Since::Ago(seconds) => now().saturating_sub(seconds.saturating_mul(1_000)),
        Since::Date(millis) => millis,
    });
    query.extend(since.map(|millis| ("since", millis.to_string())));
    let kinds = options.kind.iter();
    query.extend(kinds.map(|kind| ("kind", kind.to_string())));
    for word in &options.about {
        // as lists show it
        let shortened = word.strip_suffix("...");
        if shortened.is_none() {
            query.push(("unit", Argument::new(word).name));
        }
        let id = shortened.unwrap_or(word);
        if !id.is_empty() && !id.contains(['.', '@', '/', '*', '?', '[']) {
            query.push(("machine", id.to_owned()));
        }
    }
    query
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn nothing(options: &Options) -> String {
    let when = match options.since {
        Some(_) => "in that time",
        None => "so far",
    };
    let kinds = options.kind.iter().map(|kind| kind.as_str());
    let lately = match kinds.collect::<Vec<_>>().join(" or ") {
        kinds if kinds.is_empty() => when.to_owned(),
        kinds => format!("{when} that is {kinds}"),
    };
    match options.about.as_slice() {
        [] => format!("Nothing has happened {lately}."),
        words => format!(
            "Nothing is known to have happened to {} {lately}.",
            words.join(" or ")
        ),
    }
}

fn is_of_machine(event: &Event) -> bool {
    event.what.starts_with("machine-")
}

fn unit(event: &Event) -> String {
    match event.count {
        1 if event.what == "adopted" => "1 unit".to_owned(),
        0 | 1 => dash(&event.unit),
        count if !is_of_machine(event) && event.unit.is_empty() => format!("{count} units"),
        _ => dash(&event.unit),
    }
}

fn place(event: &Event, context: &Context) -> String {
    match (event.machine_id.as_str(), event.count) {
        ("", count) if is_of_machine(event) => format!("{count} machines"),
        ("", _) => "-".to_owned(),
        (id, _) => machine(id, context.full),
    }
}

fn reason(event: &Event, context: &Context) -> String {
    match event.from_machine_id.as_str() {
        "" => dash(&event.reason),
        from => format!("from {}: {}", machine(from, context.full), event.reason),
    }
}
