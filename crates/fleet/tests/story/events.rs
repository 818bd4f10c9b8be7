//! What is told of a plan.

use fleet::cluster::Touched;
use fleet::history::{Account, Entry, Notices};
use fleet::schedule::Planner;

use unitfile::UnitName;

use super::cluster::Situation;

/// Takes a line; `tell` plans, tells of the plan, and does it.
pub(crate) fn line(situation: &mut Situation, notices: &mut Notices, line: &str) -> String {
    match line {
        "tell" => tell(situation, notices),
        line => situation.line(line),
    }
}

fn tell(situation: &mut Situation, notices: &mut Notices) -> String {
    let mut planner = Planner::default();
    let touched = Touched::Everything;
    let planned = planner.plan(&situation.cluster, &touched, &situation.terms);
    let account = Account::of(&situation.cluster, &planned);
    let told = (0..planned.changes.len()).flat_map(|change| account.with(change));
    let mut lines: String = told.map(|entry| print(&entry)).collect();
    situation.commit(&planned);
    let why = |unit: &UnitName| planner.why_waiting(unit);
    let news = notices.news(&situation.cluster, &planned, why);
    lines.extend(news.iter().map(print));
    if lines.is_empty() {
        "nothing to tell\n".to_owned()
    } else {
        lines
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
