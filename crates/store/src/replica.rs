//! One replica's part in raft, as a function: inputs in, what to save and what is agreed out.
//!
//! Pure but for raft's own choice of an election time-out, which a single voter never waits for:
//! it campaigns once, when it starts, and needs no ticks after that. Peers will add the inputs
//! `Tick` and `Message` and the output `messages`.

use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Snapshot};
use raft::storage::MemStorage;
use raft::{Config, RawNode, Ready};

/// A raft node of a cluster of one, with its log.
pub(crate) struct Replica {
    node: RawNode<MemStorage>,
    member: u64,
    saving: Option<Ready>,
    /// The term and the vote that were given out to be saved last.
    voted: (u64, u64),
}

/// What happens to a replica.
#[derive(Debug)]
pub(crate) enum Input {
    /// It is to lead: it just started, and nobody else can.
    Lead,
    /// Commands are to be agreed on.
    Propose(Vec<Proposal>),
    /// What the last output said to save is safe on disk.
    Saved,
    /// What the log has led to up to this index is safe on disk, so that the entries before it are
    /// of no more use.
    Checkpointed(u64),
}

/// A command, and the number under which its proposer will know it again.
#[derive(Debug, PartialEq)]
pub(crate) struct Proposal {
    pub(crate) ticket: u64,
    pub(crate) command: Vec<u8>,
}

/// What is to be done after a step: apply what is committed, then save, then say `Saved`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Output {
    pub(crate) committed: Vec<Committed>,
    pub(crate) save: Option<Save>,
}

/// A command that is agreed on. It is empty where raft made the entry for its own use.
#[derive(Debug, PartialEq)]
pub(crate) struct Committed {
    pub(crate) index: u64,
    /// Set where this replica proposed it.
    pub(crate) ticket: Option<u64>,
    pub(crate) command: Vec<u8>,
}

/// What must be durable before anybody may rely on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Save {
    pub(crate) entries: Vec<Entry>,
    /// Set where the term or the vote has changed. The commit index alone is not worth a write: a
    /// leader finds out again what was committed.
    pub(crate) hard_state: Option<HardState>,
}

/// What a replica finds on its disk when it starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recovered {
    pub(crate) hard_state: HardState,
    /// Never empty: the first stands for all that was removed before it.
    pub(crate) entries: Vec<Entry>,
    /// The index of the last entry that is contained in the state.
    pub(crate) applied: u64,
}

impl Recovered {
    /// The start of a new cluster. Its log begins with an entry that says nothing, so that a member
    /// who joins later can be sent a state to start from.
    pub(crate) fn genesis() -> Self {
        let entry = Entry {
            index: 1,
            term: 1,
            ..Default::default()
        };
        let hard_state = HardState {
            term: 1,
            vote: 0,
            commit: 1,
        };
        Self {
            hard_state,
            entries: vec![entry],
            applied: 1,
        }
    }
}

impl Replica {
    /// Continues where the disk says.
    pub(crate) fn recover(member: u64, mut recovered: Recovered) -> raft::Result<Self> {
        // what was applied was committed, though the commit index may not have been saved since
        let commit = &mut recovered.hard_state.commit;
        *commit = recovered.applied.max(*commit);
        let config = Config {
            id: member,
            applied: recovered.applied,
            pre_vote: true,
            check_quorum: true,
            ..Config::new(member)
        };
        let storage = storage(member, recovered)?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &logger)?;
        Ok(Self {
            node,
            member,
            saving: None,
            voted: (0, 0),
        })
    }

    /// Takes one input. After an output with something to save, the next input must be `Saved`.
    pub(crate) fn step(&mut self, input: Input) -> raft::Result<Output> {
        let mut output = Output::default();
        match input {
            Input::Lead => self.node.campaign()?,
            Input::Propose(proposals) => self.propose(proposals)?,
            Input::Saved => self.saved(&mut output)?,
            Input::Checkpointed(index) => self.node.mut_store().wl().compact(index)?,
        }
        self.collect(&mut output)?;
        Ok(output)
    }

    /// The current term.
    pub(crate) fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// Is everything that was ever agreed on known to this replica, so that it may take commands?
    pub(crate) fn leads(&self) -> bool {
        self.node.raft.state == raft::StateRole::Leader && self.node.raft.commit_to_current_term()
    }

    fn propose(&mut self, proposals: Vec<Proposal>) -> raft::Result<()> {
        proposals
            .into_iter()
            .try_for_each(|Proposal { ticket, command }| {
                self.node.propose(context(self.member, ticket), command)
            })
    }

    fn saved(&mut self, output: &mut Output) -> raft::Result<()> {
        match self.saving.take() {
            Some(ready) => self.advance(ready, output),
            None => Ok(()),
        }
    }

    fn collect(&mut self, output: &mut Output) -> raft::Result<()> {
        while self.saving.is_none() && self.node.has_ready() {
            let mut ready = self.node.ready();
            output
                .committed
                .extend(self.committed(ready.take_committed_entries()));
            if ready.entries().is_empty() && ready.hs().is_none() {
                self.advance(ready, output)?;
            } else {
                output.save = Some(self.save(&ready));
                self.saving = Some(ready);
            }
        }
        Ok(())
    }

    fn save(&mut self, ready: &Ready) -> Save {
        let hard_state = self.node.raft.hard_state();
        let voted = (hard_state.term, hard_state.vote);
        let changed = std::mem::replace(&mut self.voted, voted) != voted;
        Save {
            entries: ready.entries().clone(),
            hard_state: changed.then_some(hard_state),
        }
    }

    /// Tells raft that what it wanted saved is.
    fn advance(&mut self, ready: Ready, output: &mut Output) -> raft::Result<()> {
        self.node.mut_store().wl().append(ready.entries())?;
        let mut light = self.node.advance_append(ready);
        let hard_state = self.node.raft.hard_state();
        self.node.mut_store().wl().set_hardstate(hard_state);
        output
            .committed
            .extend(self.committed(light.take_committed_entries()));
        self.node.advance_apply();
        Ok(())
    }

    fn committed(&self, entries: Vec<Entry>) -> impl Iterator<Item = Committed> + use<> {
        let member = self.member;
        entries.into_iter().map(move |entry| Committed {
            index: entry.index,
            ticket: ticket(member, &entry.context),
            command: if entry.entry_type() == EntryType::EntryNormal {
                entry.data
            } else {
                Vec::new()
            },
        })
    }
}

fn storage(member: u64, recovered: Recovered) -> raft::Result<MemStorage> {
    let mut base = Snapshot::default();
    let conf_state = ConfState {
        voters: vec![member],
        ..Default::default()
    };
    base.mut_metadata().set_conf_state(conf_state);
    if let Some(first) = recovered.entries.first() {
        base.mut_metadata().index = first.index;
        base.mut_metadata().term = first.term;
    }
    let storage = MemStorage::new();
    let mut core = storage.wl();
    core.apply_snapshot(base)?;
    core.append(recovered.entries.get(1..).unwrap_or_default())?;
    core.set_hardstate(recovered.hard_state);
    drop(core);
    Ok(storage)
}

/// Marks an entry with its proposer, so that one member's ticket is not taken for another's.
fn context(member: u64, ticket: u64) -> Vec<u8> {
    [member.to_le_bytes(), ticket.to_le_bytes()].concat()
}

fn ticket(member: u64, context: &[u8]) -> Option<u64> {
    let (proposer, ticket) = context.split_first_chunk::<8>()?;
    let ours = u64::from_le_bytes(*proposer) == member;
    ours.then(|| ticket.try_into().ok().map(u64::from_le_bytes))
        .flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Steps until nothing is left to save, and returns the commands that came out, and the disk.
    fn settle(replica: &mut Replica, disk: &mut Recovered, input: Input) -> Vec<Committed> {
        let mut output = replica.step(input).unwrap();
        let mut committed = Vec::new();
        loop {
            committed.append(&mut output.committed);
            let Some(save) = output.save.take() else {
                return committed;
            };
            disk.applied = committed.last().map_or(disk.applied, |last| last.index);
            disk.hard_state = save.hard_state.unwrap_or(disk.hard_state.clone());
            disk.entries.extend(save.entries);
            output = replica.step(Input::Saved).unwrap();
        }
    }

    fn propose(ticket: u64) -> Input {
        Input::Propose(vec![Proposal {
            ticket,
            command: ticket.to_string().into_bytes(),
        }])
    }

    fn start(disk: &mut Recovered) -> (Replica, Vec<Committed>) {
        let mut replica = Replica::recover(7, disk.clone()).unwrap();
        let replayed = settle(&mut replica, disk, Input::Lead);
        assert!(replica.leads());
        (replica, replayed)
    }

    #[test]
    fn nothing_is_committed_before_it_is_saved() {
        let (mut replica, _) = start(&mut Recovered::genesis());
        let output = replica.step(propose(1)).unwrap();
        assert_eq!(output.committed, []);
        assert_eq!(output.save.unwrap().entries.len(), 1);
        let output = replica.step(Input::Saved).unwrap();
        assert_eq!(output.committed[0].ticket, Some(1));
    }

    #[test]
    fn what_was_saved_but_not_applied_is_committed_again_after_a_restart() {
        let mut disk = Recovered::genesis();
        let (mut replica, _) = start(&mut disk);
        settle(&mut replica, &mut disk, propose(1));
        let unfinished = replica.step(propose(2)).unwrap().save.unwrap();
        disk.entries.extend(unfinished.entries);

        let (replica, replayed) = start(&mut disk);
        let commands: Vec<_> = replayed
            .iter()
            .map(|entry| entry.command.as_slice())
            .collect();
        assert!(commands.ends_with(&[b"1", b"2", b""]), "{commands:?}");
        assert!(replica.term() > 2, "each start is a new term");
    }

    #[test]
    fn after_a_checkpoint_a_restart_needs_only_the_entries_from_there_on() {
        let mut disk = Recovered::genesis();
        let (mut replica, _) = start(&mut disk);
        for ticket in 0..100 {
            settle(&mut replica, &mut disk, propose(ticket));
        }
        let checkpoint = disk.applied;
        settle(&mut replica, &mut disk, Input::Checkpointed(checkpoint));
        disk.entries.retain(|entry| entry.index >= checkpoint);
        assert_eq!(
            settle(&mut replica, &mut disk, propose(100))[0].command,
            b"100"
        );

        disk.applied = checkpoint;
        let (mut replica, replayed) = start(&mut disk);
        assert_eq!(replayed[0].index, checkpoint + 1);
        assert_eq!(settle(&mut replica, &mut disk, propose(9))[0].command, b"9");
    }

    #[test]
    fn a_ticket_of_another_member_is_not_ours() {
        assert_eq!(ticket(7, &context(7, 3)), Some(3));
        assert_eq!(ticket(8, &context(7, 3)), None);
        assert_eq!(ticket(8, b"short"), None);
    }
}
