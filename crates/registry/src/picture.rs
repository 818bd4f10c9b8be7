//! Pictures read once, each at one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use fleet::{Cluster, Event, MachineId, UnitState};
use unitfile::{Hash, UnitFile, UnitName};

use crate::keys::{Key, Range, Table};
use crate::{Error, MAX_TXN_OPS, Registry};

/// What the registry knows of some units.
#[derive(Debug, Clone, Default)]
pub struct UnitPicture {
    /// The units, their files, targets and states, and the machines of these.
    pub cluster: Cluster,
    /// The revision of each unit's last write, for [`Expected::Revision`](crate::Expected::Revision).
    pub revisions: BTreeMap<UnitName, i64>,
}

impl Registry {
    /// Reads some tables in one transaction.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn picture(&self, tables: &[Table]) -> Result<Cluster, Error> {
        // in the order of the enum: files come before the units that need them
        let tables: BTreeSet<Table> = tables.iter().copied().collect();
        let ranges: Vec<Range> = tables
            .into_iter()
            .map(|table| self.records.keys.table(table))
            .collect();
        let (revision, found) = self.read_at("reading the registry", 0, &ranges).await?;
        let mut cluster = Cluster {
            revision,
            ..Cluster::default()
        };
        self.add(&mut cluster, &found);
        Ok(cluster)
    }

    /// Reads what concerns some units: the units with their files, targets and states, and the machines of these.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn unit_picture(&self, units: &[UnitName]) -> Result<UnitPicture, Error> {
        loop {
            match self.try_unit_picture(units).await {
                // the first read's revision was compacted away before the second
                Err(error) if error.is_compacted() => {}
                other => return other,
            }
        }
    }

    /// Reads unit files by their hashes; those that are not there are left out.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn files(&self, hashes: &[Hash]) -> Result<BTreeMap<Hash, Arc<UnitFile>>, Error> {
        let ranges: Vec<Range> = hashes
            .iter()
            .map(|hash| self.key(&Key::File(*hash)))
            .collect();
        let mut cluster = Cluster::default();
        let (_, found) = self.read_at("reading unit files", 0, &ranges).await?;
        self.add(&mut cluster, &found);
        Ok(cluster
            .files
            .into_iter()
            .map(|(hash, record)| (hash, record.file))
            .collect())
    }

    /// What some units should be and are: their targets and states; not what their files ask for, nor the machines.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn standing_of(&self, units: &[UnitName]) -> Result<Cluster, Error> {
        let (cluster, _) = self.read_units(units).await?;
        Ok(cluster)
    }

    /// What machines say of some units.
    ///
    /// # Errors
    /// etcd cannot be asked.
    pub async fn states_of(
        &self,
        units: &[UnitName],
    ) -> Result<BTreeMap<UnitName, BTreeMap<MachineId, UnitState>>, Error> {
        let ranges = units.iter().map(|unit| self.records.keys.states_of(unit));
        let ranges: Vec<Range> = ranges.collect();
        let mut cluster = Cluster::default();
        let (_, found) = self.read_at("reading unit states", 0, &ranges).await?;
        self.add(&mut cluster, &found);
        Ok(cluster.states)
    }

    async fn try_unit_picture(&self, units: &[UnitName]) -> Result<UnitPicture, Error> {
        let (mut cluster, found) = self.read_units(units).await?;
        let further = self.what_units_refer_to(&cluster);
        let (_, referred) = self
            .read_at("reading units", cluster.revision, &further)
            .await?;
        self.add(&mut cluster, &referred);
        Ok(UnitPicture {
            cluster,
            revisions: self.unit_revisions(&found),
        })
    }

    /// The units with their targets and states, and the records of all that.
    async fn read_units(&self, units: &[UnitName]) -> Result<(Cluster, Vec<KeyValue>), Error> {
        let ranges = units.iter().flat_map(|unit| self.unit_ranges(unit));
        let ranges: Vec<Range> = ranges.collect();
        let (revision, found) = self.read_at("reading units", 0, &ranges).await?;
        let mut cluster = Cluster {
            revision,
            ..Cluster::default()
        };
        self.add(&mut cluster, &found);
        Ok((cluster, found))
    }

    fn unit_ranges(&self, unit: &UnitName) -> [Range; 3] {
        [
            self.key(&Key::Unit(unit.clone())),
            self.key(&Key::Target(unit.clone())),
            self.records.keys.states_of(unit),
        ]
    }

    /// The files of the units in `cluster`, and the machines that they are or should be on.
    fn what_units_refer_to(&self, cluster: &Cluster) -> Vec<Range> {
        let files: BTreeSet<Hash> = cluster.units.values().map(|unit| unit.hash).collect();
        let states = cluster.states.values().flat_map(BTreeMap::keys);
        let machines: BTreeSet<MachineId> =
            cluster.targets.values().chain(states).cloned().collect();
        let files = files.into_iter().map(|hash| self.key(&Key::File(hash)));
        let machines = machines.into_iter().map(|id| self.key(&Key::Machine(id)));
        files.chain(machines).collect()
    }

    fn unit_revisions(&self, found: &[KeyValue]) -> BTreeMap<UnitName, i64> {
        let revision = |kv: &KeyValue| match self.records.key(kv.key()) {
            Some(Key::Unit(unit)) => Some((unit, kv.mod_revision())),
            _ => None,
        };
        found.iter().filter_map(revision).collect()
    }

    fn add(&self, cluster: &mut Cluster, found: &[KeyValue]) {
        let events = found.iter().filter_map(|kv| self.records.event(kv));
        events.for_each(|event: Event| cluster.apply(event));
    }

    fn key(&self, key: &Key) -> Range {
        Range::key(self.records.keys.print(key))
    }

    /// Reads ranges at one revision, the present one if `revision` is 0, and tells which that was. In one
    /// transaction if they are few enough, else in several of which the later ones look back.
    pub(crate) async fn read_at(
        &self,
        what: &'static str,
        mut revision: i64,
        ranges: &[Range],
    ) -> Result<(i64, Vec<KeyValue>), Error> {
        let mut found = Vec::new();
        for some in ranges.chunks(MAX_TXN_OPS) {
            let answer = self.etcd.long_txn(what, reads(some, revision)).await?;
            if revision == 0 {
                revision = answer.header().map_or(0, |header| header.revision());
            }
            found.extend(records_of(&answer));
        }
        Ok((revision, found))
    }
}

fn reads(ranges: &[Range], revision: i64) -> Txn {
    let get = |range: &Range| {
        let options = GetOptions::new()
            .with_range(range.end.clone())
            .with_revision(revision);
        TxnOp::get(range.start.clone(), Some(options))
    };
    Txn::new().and_then(ranges.iter().map(get).collect::<Vec<_>>())
}

/// Everything that the reads of a transaction found.
pub(crate) fn records_of(answer: &TxnResponse) -> Vec<KeyValue> {
    let records = |response| match response {
        TxnOpResponse::Get(mut found) => found.take_kvs(),
        _ => Vec::new(),
    };
    answer
        .op_responses()
        .into_iter()
        .flat_map(records)
        .collect()
}
