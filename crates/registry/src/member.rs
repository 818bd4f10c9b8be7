//! How a machine becomes a member.
//!
//! The record `machine/<id>` hangs on the machine's lease, and there is one process at most whose lease that
//! is. Who finds a record under its own id looks at the boot id in it:
//!
//! - **The same boot**: the process that wrote it is dead, since fleetd holds a local lock while it runs. Its
//!   *lease* is taken over, and with it the unit states and the leadership that hang there, so that a
//!   restart of fleetd is no event for the cluster. Where that lease runs for another time than is
//!   wanted now, the record moves to a new one and the old one ends.
//! - **Another boot**: either this machine was rebooted before its lease ended, or another machine has the same
//!   id. A holder that lives renews its lease every third of its time. If the lease falls below a third, the
//!   holder is gone: the record moves to a lease of ours, and the old one ends with what hung on it. If it is
//!   renewed while we look, or outlives its time, the holder lives: we are refused, and have written nothing. (It
//!   must rise twice: etcd itself extends leases once when its own leader changes.)
//!
//! A record that moves keeps its create-revision: the schedule has been valid without a gap, and goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp, TxnResponse};
use fleet::{Machine, MachineId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use unitfile::UnitName;

use crate::etcd::LeaseInfo;
use crate::keys::Key;
use crate::picture::records_of;
use crate::{Error, JoinError, Registry, codec};

const JOINING: &str = "registering the machine";
/// How often a lease is looked at in its time: often enough to see each renewal, which comes every third of it.
const LOOKS: u32 = 8;

/// A machine's presence in the cluster: the right to write under its name for as long as its lease lives.
#[derive(Debug, Clone)]
pub struct Membership {
    pub(crate) registry: Registry,
    /// The record as it was written.
    pub machine: Machine,
    /// The lease that everything of this machine hangs on.
    pub lease: i64,
    /// How long it lives without renewal, as etcd granted it.
    pub ttl: Duration,
    /// Create-revision of the record: what `admitted` in the schedule is compared with.
    pub since: i64,
    /// When the lease was last renewed; see [`Membership::renewals`].
    pub(crate) renewed: Arc<watch::Sender<Instant>>,
    /// Units whose states an earlier process of this boot published, and which are still there.
    pub published: BTreeSet<UnitName>,
}

/// The record that is there already.
struct Holder {
    machine: Machine,
    revision: i64,
    lease: i64,
}

/// What watching a lease has shown.
enum Verdict {
    Alive,
    Dead,
    /// The record is not what it was: look again.
    Changed,
}

impl Registry {
    /// Makes `machine` a member, under a lease of `ttl` (whole seconds; etcd may make more of very short ones).
    /// Its `member_since` is ignored. After a quick reboot this takes up to `ttl`; see the protocol above.
    ///
    /// # Errors
    /// [`JoinError::Taken`] if another live machine has this id.
    pub async fn join(&self, machine: &Machine, ttl: Duration) -> Result<Membership, JoinError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
        loop {
            let joined = match self.holder(&machine.id).await? {
                None => self.register(machine, seconds).await?,
                Some(holder) if holder.machine.boot_id == machine.boot_id => {
                    self.adopt(machine, seconds, &holder).await?
                }
                Some(holder) => match self.observe(&holder).await? {
                    Verdict::Alive => {
                        return Err(JoinError::Taken {
                            record: Box::new(holder.machine),
                        });
                    }
                    Verdict::Dead => self.take_over(machine, seconds, &holder).await?,
                    Verdict::Changed => None,
                },
            };
            if let Some(membership) = joined {
                return Ok(membership);
            }
        }
    }

    async fn holder(&self, id: &MachineId) -> Result<Option<Holder>, Error> {
        let found = self.etcd.get(JOINING, self.machine_key(id)).await?;
        let holder = |kv: &KeyValue| Holder {
            machine: self
                .records
                .read_with(kv, |kv| codec::machine(id.clone(), kv))
                .unwrap_or(unreadable(id)),
            revision: kv.mod_revision(),
            lease: kv.lease(),
        };
        Ok(found.kvs().first().map(holder))
    }

    /// Nobody is there: create the record. None if somebody was quicker.
    async fn register(&self, machine: &Machine, seconds: i64) -> Result<Option<Membership>, Error> {
        let key = self.machine_key(&machine.id);
        let absent = Compare::create_revision(key, CompareOp::Equal, 0);
        self.write_on_new_lease(machine, seconds, absent).await
    }

    /// The holder is an earlier process of this boot: go on with its lease.
    async fn adopt(
        &self,
        machine: &Machine,
        seconds: i64,
        holder: &Holder,
    ) -> Result<Option<Membership>, Error> {
        let info = self.lease_info_of(holder).await?;
        if info.left < 0 || info.granted != seconds {
            return self.take_over(machine, seconds, holder).await;
        }
        let asked = Instant::now();
        if !self.etcd.renew(holder.lease).await? {
            return Ok(None);
        }
        let answer = self
            .write(machine, holder.lease, self.unchanged(holder))
            .await;
        match answer {
            // it ended just now
            Err(error) if error.is_lease_gone() => Ok(None),
            answer => {
                let lease = (holder.lease, info.granted, asked);
                let mut membership = self.membership(machine, lease, &answer?);
                if let Some(membership) = &mut membership {
                    membership.published = self.units_with_states(&info.keys);
                }
                Ok(membership)
            }
        }
    }

    /// The holder is dead: move the record to a lease of ours, and end its lease with all that is left on it.
    async fn take_over(
        &self,
        machine: &Machine,
        seconds: i64,
        holder: &Holder,
    ) -> Result<Option<Membership>, Error> {
        let joined = self
            .write_on_new_lease(machine, seconds, self.unchanged(holder))
            .await?;
        if joined.is_some() && holder.lease != 0 {
            self.etcd.revoke(holder.lease).await?;
        }
        Ok(joined)
    }

    /// Looks at the holder's lease until it is clear whether somebody renews it.
    async fn observe(&self, holder: &Holder) -> Result<Verdict, Error> {
        let begun = Instant::now();
        let (mut last, mut rises) = (i64::MAX, 0);
        loop {
            let info = self.lease_info_of(holder).await?;
            let now = self.holder(&holder.machine.id).await?;
            rises += usize::from(info.left > last);
            last = info.left;
            let outlived = begun.elapsed() > seconds(info.granted) * 2;
            match () {
                () if now.is_none_or(|now| now.revision != holder.revision) => {
                    return Ok(Verdict::Changed);
                }
                () if info.is_low() => return Ok(Verdict::Dead),
                () if rises >= 2 || outlived => return Ok(Verdict::Alive),
                () => sleep(seconds(info.granted) / LOOKS).await,
            }
        }
    }

    /// A record without a lease is nobody's; it reads as one whose time is over.
    async fn lease_info_of(&self, holder: &Holder) -> Result<LeaseInfo, Error> {
        match holder.lease {
            0 => Ok(LeaseInfo {
                left: -1,
                granted: 0,
                keys: Vec::new(),
            }),
            lease => self.etcd.lease_info(lease).await,
        }
    }

    async fn write_on_new_lease(
        &self,
        machine: &Machine,
        seconds: i64,
        guard: Compare,
    ) -> Result<Option<Membership>, Error> {
        let asked = Instant::now();
        let (lease, granted) = self.etcd.grant(seconds).await?;
        let answer = self.write(machine, lease, guard).await?;
        let membership = self.membership(machine, (lease, granted, asked), &answer);
        if membership.is_none() {
            self.etcd.revoke(lease).await?;
        }
        Ok(membership)
    }

    /// Writes the record if `guard` holds, and reads it back either way.
    async fn write(
        &self,
        machine: &Machine,
        lease: i64,
        guard: Compare,
    ) -> Result<TxnResponse, Error> {
        let key = self.machine_key(&machine.id);
        let on_lease = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(key.clone(), codec::print_machine(machine), Some(on_lease));
        let read = TxnOp::get(key, None);
        let txn = Txn::new()
            .when([guard])
            .and_then([put, read.clone()])
            .or_else([read]);
        self.etcd.txn(JOINING, txn).await
    }

    /// The membership, if the record that was read back is the one we wrote. (Where the first attempt's answer
    /// got lost, the second one's guard fails although the record is ours.) The lease with its seconds, and when it was asked for.
    fn membership(
        &self,
        machine: &Machine,
        (lease, granted, asked): (i64, i64, Instant),
        answer: &TxnResponse,
    ) -> Option<Membership> {
        let record = records_of(answer).into_iter().next()?;
        if record.lease() != lease || record.value() != codec::print_machine(machine) {
            return None;
        }
        let since = record.create_revision();
        Some(Membership {
            registry: self.clone(),
            machine: Machine {
                member_since: since,
                ..machine.clone()
            },
            lease,
            ttl: seconds(granted),
            since,
            renewed: Arc::new(watch::Sender::new(asked)),
            published: BTreeSet::new(),
        })
    }

    fn unchanged(&self, holder: &Holder) -> Compare {
        let key = self.machine_key(&holder.machine.id);
        Compare::mod_revision(key, CompareOp::Equal, holder.revision)
    }

    /// The units whose states are among some keys.
    pub(crate) fn units_with_states(&self, keys: &[Vec<u8>]) -> BTreeSet<UnitName> {
        let unit = |key: &Vec<u8>| match self.records.key(key) {
            Some(Key::State(unit, _)) => Some(unit),
            _ => None,
        };
        keys.iter().filter_map(unit).collect()
    }

    fn machine_key(&self, id: &MachineId) -> String {
        self.records.keys.print(&Key::Machine(id.clone()))
    }
}

impl Membership {
    /// Holds while the record is on our lease: the guard of everything that a member writes.
    pub(crate) fn guard(&self) -> Compare {
        Compare::lease(
            self.registry.machine_key(&self.machine.id),
            CompareOp::Equal,
            self.lease,
        )
    }
}

/// Stands in for a record that makes no sense: of no boot that we know.
fn unreadable(id: &MachineId) -> Machine {
    Machine {
        id: id.clone(),
        address: String::new(),
        metadata: std::collections::BTreeMap::new(),
        version: String::new(),
        boot_id: String::new(),
        member_since: 0,
        leaving: false,
        capacity: fleet::Resources::default(),
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}
