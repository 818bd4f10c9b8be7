//! What is told of a plan.

use fleet::cluster::Touched;
use fleet::history::{Account, Entry, LastWords, Notices};
use fleet::schedule::Planner;

use unitfile::UnitName;

use super::cluster::Situation;

/// A cluster, its leader, and what has been told.
#[derive(Default)]
pub(crate) struct Teller {
    situation: Situation,
    notices: Notices,
    told: Vec<Entry>,
}

impl Teller {
    /// Takes a line; `tell` plans, tells of the plan, and does it; then `another leads`.
    pub(crate) fn line(&mut self, line: &str) -> String {
        match line {
            "tell" => self.tell(),
            "another leads" => {
                self.succeed();
                String::new()
            }
            line => self.situation.line(line),
        }
    }

    fn tell(&mut self) -> String {
        let Teller {
            situation, notices, ..
        } = self;
        let mut planner = Planner::default();
        let touched = Touched::Everything;
        let planned = planner.plan(&situation.cluster, &touched, &situation.terms);
        let account = Account::of(&situation.cluster, &planned);
        let told = (0..planned.changes.len()).flat_map(|change| account.with(change));
        let mut told: Vec<Entry> = told.collect();
        situation.commit(&planned);
        let why = |unit: &UnitName| planner.why_waiting(unit);
        told.extend(notices.news(&situation.cluster, &planned, why));
        let lines: String = told.iter().map(print).collect();
        self.told.append(&mut told);
        match lines.as_str() {
            "" => "nothing to tell\n".to_owned(),
            _ => lines,
        }
    }

    fn succeed(&mut self) {
        let mut last = LastWords::default();
        self.told.iter().rev().for_each(|entry| last.take(entry));
        self.notices = Notices::after(last);
    }
}

fn print(entry: &Entry) -> String {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let unit = dash(entry.unit.as_ref().map(ToString::to_string));
    let machine = dash(entry.machine.as_ref().map(ToString::to_string));
    let from = entry.from.as_ref();
    let from = from.map_or(String::new(), |from| format!("from {from}: "));
    let Entry { what, reason, .. } = entry;
    let line = format!("{what:<18} {unit:<10} {machine:<4} {from}{reason}");
    line.trim_end().to_owned() + "\n"
}
