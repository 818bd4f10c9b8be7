//! Carries wishes out: reads what is stored, decides, writes if nobody was faster.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use registry::{Expected, UnitPicture, UnitWrite, Written};
use unitfile::{Hash, UnitName};

use super::Api;
use super::error::ApiError;
use super::put::{Wish, Write};

/// How often wishes are decided anew because somebody else wrote their units meanwhile.
const ROUNDS: usize = 10;

type Outcome = Result<StatusCode, ApiError>;

impl Api {
    /// One outcome a wish, in order. The wishes of one call are for the same registry picture; of several
    /// for one unit each sees what the one before it wrote.
    ///
    /// # Errors
    /// The registry cannot be reached: some wishes may have been fulfilled.
    pub(super) async fn store(&self, wishes: Vec<Wish>) -> Result<Vec<Outcome>, ApiError> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; wishes.len()];
        for _ in 0..ROUNDS + wishes.len() {
            let open = first_of_each_unit(&wishes, &outcomes);
            if open.is_empty() {
                break;
            }
            self.round(&wishes, &open, &mut outcomes).await?;
        }
        let busy = || {
            Err(ApiError::conflict(
                "the unit is being changed by others: try again",
            ))
        };
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(busy))
            .collect())
    }

    /// Decides the `open` wishes on one picture and writes what they ask for.
    async fn round(
        &self,
        wishes: &[Wish],
        open: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), ApiError> {
        let names: Vec<UnitName> = open.iter().map(|at| wishes[*at].name.clone()).collect();
        let picture = self.units(&names).await?;
        let mut writes: Vec<(usize, Write)> = Vec::new();
        for at in open {
            match wishes[*at].decide(stored(&picture, &wishes[*at].name)) {
                Ok(write) => writes.push((*at, write)),
                Err(error) => outcomes[*at] = Some(Err(error)),
            }
        }
        let written = self.write(wishes, &writes, &picture).await?;
        for ((at, write), written) in writes.iter().zip(written) {
            if matches!(written, Written::Done(_)) {
                outcomes[*at] = Some(Ok(write.status()));
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        wishes: &[Wish],
        writes: &[(usize, Write)],
        picture: &UnitPicture,
    ) -> Result<Vec<Written>, ApiError> {
        let writes: Vec<UnitWrite> = writes
            .iter()
            .map(|(at, write)| unit_write(&wishes[*at].name, write, picture))
            .collect();
        let written = self.registry.put_units(&writes).await;
        written.map_err(|error| ApiError::registry("writing units", &error))
    }
}

/// The wishes that are not decided; of several for one unit, the first.
fn first_of_each_unit(wishes: &[Wish], outcomes: &[Option<Outcome>]) -> Vec<usize> {
    let mut seen: BTreeSet<&UnitName> = BTreeSet::new();
    let open = (0..wishes.len()).filter(|at| outcomes[*at].is_none());
    open.filter(|at| seen.insert(&wishes[*at].name)).collect()
}

fn unit_write<'a>(name: &UnitName, write: &'a Write, picture: &UnitPicture) -> UnitWrite<'a> {
    let (hash, file, desired) = match write {
        Write::File(hash, file, desired) => (*hash, Some(file), *desired),
        Write::State(hash, desired) => (*hash, None, *desired),
    };
    // a record that makes no sense has a revision too, and is written over
    let revision = picture.revisions.get(name);
    let expected = revision.map_or(Expected::Absent, |revision| Expected::Revision(*revision));
    UnitWrite {
        name: name.clone(),
        hash,
        file,
        desired,
        expected,
    }
}

fn stored(picture: &UnitPicture, name: &UnitName) -> Option<Hash> {
    let unit = picture.cluster.units.get(name)?;
    Some(unit.hash)
}
