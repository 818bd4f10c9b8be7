//! Tables as the original prints them: columns padded with TABs to the next multiple of eight.
//!
//! The rules are those of Go's `text/tabwriter` with minwidth 0, tabwidth 8, padding 1 and TAB as the padding
//! character. Scripts cut these tables at TABs, so the bytes matter.

/// Columns start at multiples of this many characters.
const TAB_WIDTH: usize = 8;

/// The rows as lines, each ending in a newline. The last cell of a row is never padded.
///
/// Every row must have as many cells as the first one.
pub(crate) fn render(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// A table whose rows come one after the other: a column is as wide as its longest cell so far needs.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    widths: Vec<usize>,
}

impl Growing {
    /// More rows, as lines.
    pub(crate) fn render(&mut self, rows: &[Vec<String>]) -> String {
        let widths = widths(rows);
        self.widths.resize(widths.len().max(self.widths.len()), 0);
        for (known, needed) in self.widths.iter_mut().zip(widths) {
            *known = needed.max(*known);
        }
        rows.iter().map(|row| line(row, &self.widths)).collect()
    }
}

/// The width of each column: its longest cell and one more, rounded up to a tab stop.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let longest = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| length(cell))
            .max()
    };
    (0..columns)
        .map(|column| (longest(column).unwrap_or(0) + 1).next_multiple_of(TAB_WIDTH))
        .collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let last = row.len().saturating_sub(1);
    let mut text = String::new();
    for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
        text.push_str(cell);
        if at < last {
            let tabs = (width - length(cell)).div_ceil(TAB_WIDTH);
            text.extend(std::iter::repeat_n('\t', tabs));
        }
    }
    text + "\n"
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::render;

    fn table(rows: &[&[&str]]) -> String {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        render(&rows)
    }

    #[test]
    fn machines() {
        let text = table(&[
            &["MACHINE", "IP", "METADATA"],
            &["1f8dd964...", "10.99.0.11", "idx=1,parity=1"],
            &["ffff...", "-", "-"],
        ]);
        assert_eq!(
            text,
            "MACHINE\t\tIP\t\tMETADATA\n1f8dd964...\t10.99.0.11\tidx=1,parity=1\nffff...\t\t-\t\t-\n"
        );
    }

    #[test]
    fn units() {
        let text = table(&[
            &["UNIT", "MACHINE", "ACTIVE", "SUB"],
            &[
                "oneshot.service",
                "1f8dd964.../10.99.0.11",
                "inactive",
                "dead",
            ],
            &[
                "slow.service",
                "655a4d3b.../10.99.0.13",
                "activating",
                "start",
            ],
        ]);
        assert_eq!(
            text,
            "UNIT\t\tMACHINE\t\t\tACTIVE\t\tSUB\n\
             oneshot.service\t1f8dd964.../10.99.0.11\tinactive\tdead\n\
             slow.service\t655a4d3b.../10.99.0.13\tactivating\tstart\n"
        );
    }

    #[test]
    fn unit_files() {
        let text = table(&[
            &["UNIT", "HASH", "DSTATE", "STATE", "TARGET"],
            &["tmpl@.service", "8a3ad26", "inactive", "inactive", "-"],
            &[
                "tmpl@1.service",
                "8a3ad26",
                "loaded",
                "loaded",
                "1f8dd964.../10.99.0.11",
            ],
        ]);
        assert_eq!(
            text,
            "UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n\
             tmpl@.service\t8a3ad26\tinactive\tinactive\t-\n\
             tmpl@1.service\t8a3ad26\tloaded\t\tloaded\t\t1f8dd964.../10.99.0.11\n"
        );
    }

    #[test]
    fn a_header_alone_and_empty_cells() {
        assert_eq!(
            table(&[&["UNIT", "MACHINE", "ACTIVE", "SUB"]]),
            "UNIT\tMACHINE\tACTIVE\tSUB\n"
        );
        assert_eq!(table(&[&["UNIT", "SUB"], &["a", ""]]), "UNIT\tSUB\na\t\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_table_that_grows() {
        let rows = |cells: [&str; 2]| vec![cells.map(str::to_owned).to_vec()];
        let mut table = super::Growing::default();
        assert_eq!(table.render(&rows(["a", "b"])), "a\tb\n");
        assert_eq!(table.render(&rows(["aaaaaaaa", "b"])), "aaaaaaaa\tb\n");
        assert_eq!(table.render(&rows(["a", "b"])), "a\t\tb\n");
        assert_eq!(table.render(&[]), "");
    }

    #[test]
    fn width_counts_characters_not_bytes() {
        assert_eq!(table(&[&["ééééééé", "x"]]), "ééééééé\tx\n");
        assert_eq!(table(&[&["éééééééé", "x"]]), "éééééééé\tx\n");
    }
}
