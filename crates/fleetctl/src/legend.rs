//! How machines are written: `1f8dd964.../10.99.0.11`.

use std::collections::HashMap;

use fleet::v1;

/// The first eight characters of an id and three dots; the whole id if `full`.
pub(crate) fn machine(id: &str, full: bool) -> String {
    if full {
        id.to_owned()
    } else {
        format!("{}...", id.chars().take(8).collect::<String>())
    }
}

/// A machine with its address, if that is known.
pub(crate) fn machine_at(id: &str, address: &str, full: bool) -> String {
    let slash = if address.is_empty() { "" } else { "/" };
    format!("{}{slash}{address}", machine(id, full))
}

/// What is enough of a machine's id to name it in a command.
pub(crate) fn beginning(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The addresses of machines, by id.
#[derive(Debug, Default)]
pub(crate) struct Addresses(HashMap<String, String>);

impl Addresses {
    /// Those of `machines`.
    pub(crate) fn of(machines: Vec<v1::Machine>) -> Self {
        Addresses(
            machines
                .into_iter()
                .map(|machine| (machine.id, machine.primary_ip))
                .collect(),
        )
    }

    /// The machine that a unit is on; `-` if it is on none.
    pub(crate) fn legend(&self, id: &str, full: bool) -> String {
        let address = self.0.get(id).map_or("", String::as_str);
        if id.is_empty() {
            "-".to_owned()
        } else {
            machine_at(id, address, full)
        }
    }
}
