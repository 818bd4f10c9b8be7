//! One mirror of the registry for everybody who watches: started by its first user, dropped a while
//! after its last. Without users it costs nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet::Cluster;
use fleet::cluster::Touched;
use fleet::schedule::{Survey, Terms};
use registry::{Mirror, Registry};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often an unused mirror is looked for; it is dropped after one to two times this long.
const LINGER: Duration = Duration::from_secs(10);

/// So many changes that nobody asked about are not kept: the rules are worked out anew, if somebody does.
const MANY: usize = 100_000;

/// Gives out views of the one mirror. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SharedMirror {
    registry: Registry,
    closing: CancellationToken,
    slot: Arc<Mutex<Option<View>>>,
}

/// A use of the mirror, which lives at least as long.
#[derive(Clone)]
pub(crate) struct View {
    questions: mpsc::Sender<Question>,
    revision: watch::Receiver<i64>,
    users: Arc<()>,
}

/// Something to work out from the picture. The mirror's task works it out, so that no lock is held.
type Question = Box<dyn FnOnce(&mut Picture) + Send>;

/// The registry as it is, and what the rules say of it.
pub(crate) struct Picture {
    mirror: Mirror,
    survey: Survey,
    /// What the survey does not know yet.
    touched: Touched,
}

impl Picture {
    fn of(mirror: Mirror) -> Self {
        Picture {
            mirror,
            survey: Survey::default(),
            touched: Touched::Everything,
        }
    }

    /// The records.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.mirror.cluster()
    }

    /// The rules on the records, worked out as far as something has changed since the last question.
    pub(crate) fn surveyed(&mut self, terms: &Terms) -> (&Cluster, &Survey) {
        let touched = std::mem::take(&mut self.touched);
        self.survey.update(self.mirror.cluster(), &touched, terms);
        (self.mirror.cluster(), &self.survey)
    }

    /// Losing the future loses nothing.
    async fn changed(&mut self) {
        let news = self.mirror.changed().await;
        self.touched.merge(news);
        if self.touched.len() > MANY {
            self.touched = Touched::Everything;
        }
    }
}

/// The mirror's task has ended; another view may work again.
#[derive(Debug, thiserror::Error)]
#[error("the mirror of the registry has ended")]
pub(crate) struct Ended;

impl SharedMirror {
    /// When `closing` is cancelled the mirror ends, whoever uses it.
    pub(crate) fn new(registry: Registry, closing: CancellationToken) -> Self {
        let slot = Arc::default();
        SharedMirror {
            registry,
            closing,
            slot,
        }
    }

    /// A view; the mirror is started if it does not run.
    pub(crate) fn view(&self) -> View {
        let mut slot = lock(&self.slot);
        match &*slot {
            Some(view) if !view.questions.is_closed() => view.clone(),
            _ => slot.insert(self.start()).clone(),
        }
    }

    /// A view of the mirror if it runs and has its first picture.
    pub(crate) fn running(&self) -> Option<View> {
        let slot = lock(&self.slot);
        let view = slot.as_ref().filter(|view| !view.questions.is_closed());
        view.filter(|view| *view.revision.borrow() > 0).cloned()
    }

    fn start(&self) -> View {
        let (questions, asked) = mpsc::channel(16);
        let (revision, seen) = watch::channel(0);
        let task = Task {
            asked,
            revision,
            slot: self.slot.clone(),
        };
        let run = task.run(self.registry.clone());
        tokio::spawn(self.closing.clone().run_until_cancelled_owned(run));
        View {
            questions,
            revision: seen,
            users: Arc::new(()),
        }
    }
}

impl View {
    /// Works something out from the picture as it is, which is there once etcd has answered.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Picture) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |picture| {
            // nobody waits for the answer any more: fine
            let _ = reply.send(question(picture));
        });
        self.questions.send(question).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Waits until the picture is another one than at the last call.
    pub(crate) async fn changed(&mut self) -> Result<(), Ended> {
        self.revision.changed().await.map_err(|_| Ended)
    }
}

/// Owns the mirror.
struct Task {
    asked: mpsc::Receiver<Question>,
    revision: watch::Sender<i64>,
    slot: Arc<Mutex<Option<View>>>,
}

impl Task {
    async fn run(mut self, registry: Registry) {
        let Some(mirror) = self.first_picture(&registry).await else {
            return;
        };
        let mut picture = Picture::of(mirror);
        let mut linger = lingering();
        loop {
            self.announce(picture.cluster().revision);
            tokio::select! {
                () = picture.changed() => {}
                Some(question) = self.asked.recv() => question(&mut picture),
                _ = linger.tick() => if self.is_unused() { return },
            }
        }
    }

    fn announce(&self, revision: i64) {
        self.revision
            .send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }

    /// Nobody may wait that long: the mirror is given up when its users are gone before etcd answers.
    async fn first_picture(&self, registry: &Registry) -> Option<Mirror> {
        let mirror = registry.mirror();
        tokio::pin!(mirror);
        let mut linger = lingering();
        loop {
            tokio::select! {
                mirror = &mut mirror => return Some(mirror),
                _ = linger.tick() => if self.is_unused() { return None },
            }
        }
    }

    /// Empties the slot if only the slot's own view is left: new users then start another mirror.
    fn is_unused(&self) -> bool {
        let mut slot = lock(&self.slot);
        let unused = slot
            .as_ref()
            .is_none_or(|view| Arc::strong_count(&view.users) == 1);
        if unused {
            *slot = None;
        }
        unused
    }
}

/// Ticks when it is time to look for users. The first tick is none at once: a mirror outlives its first question.
fn lingering() -> Interval {
    let mut linger = tokio::time::interval_at(Instant::now() + LINGER, LINGER);
    linger.set_missed_tick_behavior(MissedTickBehavior::Delay);
    linger
}

/// A panic elsewhere leaves the slot whole: it is one assignment.
fn lock(slot: &Mutex<Option<View>>) -> MutexGuard<'_, Option<View>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use store::Store;

    use super::*;

    async fn shared(closing: &CancellationToken) -> (SharedMirror, Store) {
        let store = Store::in_memory().await.unwrap();
        let registry =
            Registry::from_channel(registry::Channel::Tonic(store.channel()), "/fleet/", LINGER)
                .await
                .unwrap();
        (SharedMirror::new(registry, closing.clone()), store)
    }

    async fn revision(view: &View) -> Result<i64, Ended> {
        view.ask(|picture| picture.cluster().revision).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_mirror_is_shared_while_it_is_used_and_dropped_afterwards() {
        let (shared, _store) = shared(&CancellationToken::new()).await;
        let (one, two) = (shared.view(), shared.view());
        assert!(one.questions.same_channel(&two.questions));
        revision(&one).await.unwrap();
        tokio::time::sleep(LINGER * 3).await;
        assert!(!one.questions.is_closed(), "it lives as long as it is used");
        let questions = one.questions.clone();
        drop((one, two));
        questions.closed().await;
        revision(&shared.view()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_follow_one_another_are_put_to_one_mirror() {
        let (shared, _store) = shared(&CancellationToken::new()).await;
        let first = shared.view().questions;
        for _ in 0..5 {
            let view = shared.view();
            assert!(view.questions.same_channel(&first));
            revision(&view).await.unwrap();
            drop(view);
            tokio::time::sleep(LINGER / 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closing_ends_it_for_everybody() {
        let closing = CancellationToken::new();
        let (shared, _store) = shared(&closing).await;
        let mut view = shared.view();
        revision(&view).await.unwrap();
        closing.cancel();
        while view.changed().await.is_ok() {}
        revision(&view).await.unwrap_err();
    }
}
