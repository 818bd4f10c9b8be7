//! What the three lists share: columns by name, rows, a table.

use std::collections::BTreeMap;

use fleet::v2::Cordon;

use crate::args::Table;
use crate::legend::Addresses;
use crate::{output, table};

/// Fields that are there for the sake of old scripts.
const DEPRECATED: [&str; 1] = ["tmachine"];

/// A column that `--fields` can name.
pub(crate) struct Column<Row> {
    /// Its name there; in upper case, its header.
    pub(crate) name: &'static str,
    /// What stands in it.
    pub(crate) cell: fn(&Row, &Context) -> String,
}

/// What cells need besides their row.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Ids and hashes are not shortened.
    pub(crate) full: bool,
    /// Where the machines are.
    pub(crate) addresses: Addresses,
    /// Which machines get no new units.
    pub(crate) cordons: BTreeMap<String, Cordon>,
}

/// What is wrong with `--fields`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    /// Nothing; the fields that there are.
    #[error("Must define output format\nFields: {0}")]
    None(String),
    /// A name that no column has; the fields that there are.
    #[error("Invalid key in output format: {0:?}\nFields: {1}")]
    Unknown(String, String),
}

/// The columns that `fields` names, in its order.
///
/// # Errors
/// When it names none, or one that does not exist.
pub(crate) fn select<'a, Row>(
    columns: &'a [Column<Row>],
    fields: &str,
) -> Result<Vec<&'a Column<Row>>, FieldError> {
    if fields.is_empty() {
        return Err(FieldError::None(names(columns)));
    }
    let find = |field: &str| {
        let column = columns.iter().find(|column| column.name == field);
        column.ok_or_else(|| FieldError::Unknown(field.to_owned(), names(columns)))
    };
    fields.split(',').map(find).collect()
}

/// The fields that there are, without those that are named in warnings only.
fn names<Row>(columns: &[Column<Row>]) -> String {
    let names = columns.iter().map(|column| column.name);
    let named = names.filter(|name| !DEPRECATED.contains(name));
    named.collect::<Vec<_>>().join(", ")
}

/// Whether one of `columns` is called `name`.
pub(crate) fn shows<Row>(columns: &[&Column<Row>], name: &str) -> bool {
    columns.iter().any(|column| column.name == name)
}

/// Prints the table.
pub(crate) fn print<Row>(
    columns: &[&Column<Row>],
    rows: &[Row],
    context: &Context,
    options: &Table,
) {
    let header = columns
        .iter()
        .map(|column| column.name.to_uppercase())
        .collect();
    let cells = |row| {
        columns
            .iter()
            .map(|column| (column.cell)(row, context))
            .collect()
    };
    let header = (!options.no_legend).then_some(header);
    let lines: Vec<Vec<String>> = header.into_iter().chain(rows.iter().map(cells)).collect();
    output::say(&table::render(&lines));
}

/// `-` for nothing.
pub(crate) fn dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}
