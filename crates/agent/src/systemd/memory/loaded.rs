//! Unit files as systemd has read them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleet::Requirements;
use unitfile::{UnitFile, UnitName};

use super::play::{Play, play};
use crate::files::says;

/// A unit file, and what its unit does because of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) text: String,
    /// None if systemd would refuse to load it.
    pub(super) play: Option<Play>,
    pub(super) required: Vec<UnitName>,
    pub(super) after: Vec<UnitName>,
    /// The links that its `[Install]` section asks for.
    pub(super) links: Vec<PathBuf>,
    /// Whether it says `Fence=yes`.
    pub(super) fence: bool,
}

impl Loaded {
    fn of(name: &UnitName, text: String) -> Loaded {
        let file = UnitFile::parse(text.as_bytes()).ok();
        let play = file.as_ref().and_then(|file| play(name, file));
        let file = file.unwrap_or_default();
        let targets = file.values("Install", "WantedBy");
        let link = |target: &str| Path::new(&format!("{target}.wants")).join(name.as_str());
        Loaded {
            play,
            required: named(&file, "Requires"),
            after: named(&file, "After"),
            links: targets.map(link).collect(),
            fence: Requirements::of(name, &file).fence,
            text,
        }
    }
}

/// The units that a file's `[Unit]` section names with `option`, each line naming one.
fn named(file: &UnitFile, option: &str) -> Vec<UnitName> {
    let names = file.values("Unit", option);
    names
        .filter_map(|name| UnitName::parse(name).ok())
        .collect()
}

/// Reads files, and takes them apart when they are not what they were.
#[derive(Debug, Default)]
pub(super) struct Reader {
    known: RefCell<BTreeMap<UnitName, Arc<Loaded>>>,
}

impl Reader {
    /// A unit's file as it is now; none if there is none.
    pub(super) fn read(&self, name: &UnitName, path: &Path) -> Option<Arc<Loaded>> {
        let mut known = self.known.borrow_mut();
        if let Some(loaded) = known.get(name)
            && says(path, &loaded.text).ok()?
        {
            return Some(Arc::clone(loaded));
        }
        let text = std::fs::read_to_string(path).ok()?;
        let loaded = Arc::new(Loaded::of(name, text));
        known.insert(name.clone(), Arc::clone(&loaded));
        Some(loaded)
    }
}
