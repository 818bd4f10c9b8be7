//! Jobs: what systemd queues when it is told to start or stop a unit.

use std::collections::HashMap;
use std::fmt;

use tokio::sync::oneshot;

/// A queued job; its result comes later.
#[derive(Debug)]
pub struct Job(oneshot::Receiver<JobResult>);

/// How a job ended. The words are systemd's, from the signal `JobRemoved` (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// The unit is where the job wanted it.
    Done,
    /// A contrary job replaced this one.
    Canceled,
    /// A condition of the unit did not hold, so nothing was done.
    Skipped,
    /// It did not work; systemd's word for why, such as `failed`, `timeout` or `dependency`.
    Failed(String),
    /// systemd was away when the job ended: nobody knows.
    Lost,
}

impl Job {
    /// A job and the end at which its result is told.
    pub fn new() -> (oneshot::Sender<JobResult>, Job) {
        let (end, job) = oneshot::channel();
        (end, Job(job))
    }

    /// A job that has ended already.
    pub fn ended(result: JobResult) -> Job {
        let (end, job) = Job::new();
        // the receiving half is in our hands
        let _ = end.send(result);
        job
    }

    /// Waits for the end of the job.
    pub async fn result(self) -> JobResult {
        self.0.await.unwrap_or(JobResult::Lost)
    }
}

impl JobResult {
    /// Reads systemd's word.
    pub(crate) fn of(word: &str) -> JobResult {
        match word {
            "done" => JobResult::Done,
            "canceled" => JobResult::Canceled,
            "skipped" => JobResult::Skipped,
            other => JobResult::Failed(other.to_owned()),
        }
    }
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobResult::Done => "done",
            JobResult::Canceled => "canceled",
            JobResult::Skipped => "skipped",
            JobResult::Failed(word) => word,
            JobResult::Lost => "lost",
        })
    }
}

/// Jobs under way by their object path. The signal of a job's end may overtake the answer that names the
/// job, so while calls are open the ends of unknown jobs are kept.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    open_calls: usize,
    /// systemd gives one job to all who ask for the same while it is under way.
    waiting: HashMap<String, Vec<oneshot::Sender<JobResult>>>,
    early: HashMap<String, JobResult>,
}

impl Jobs {
    /// A call that will name a job is about to be made.
    pub(crate) fn call_opened(&mut self) {
        self.open_calls += 1;
    }

    /// That call is over, and named a job or failed.
    pub(crate) fn call_closed(&mut self, path: Option<&str>) -> Option<Job> {
        self.open_calls -= 1;
        let job = path.map(|path| self.await_end(path));
        if self.open_calls == 0 {
            self.early.clear();
        }
        job
    }

    /// A job ended.
    pub(crate) fn ended(&mut self, path: &str, result: JobResult) {
        match self.waiting.remove(path) {
            Some(ends) => ends.into_iter().for_each(|end| {
                // nobody may be interested in it any more
                let _ = end.send(result.clone());
            }),
            None if self.open_calls > 0 => drop(self.early.insert(path.to_owned(), result)),
            None => {}
        }
    }

    /// Signals were lost: nobody will hear of the jobs under way.
    pub(crate) fn lose_all(&mut self) {
        self.waiting.clear();
        self.early.clear();
    }

    fn await_end(&mut self, path: &str) -> Job {
        if let Some(result) = self.early.get(path) {
            return Job::ended(result.clone());
        }
        let (end, job) = Job::new();
        self.waiting.entry(path.to_owned()).or_default().push(end);
        job
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_job_may_overtake_its_name() {
        let mut jobs = Jobs::default();
        jobs.call_opened();
        jobs.ended("/job/1", JobResult::Done);
        let job = jobs.call_closed(Some("/job/1")).unwrap();
        assert_eq!(job.result().await, JobResult::Done);
        assert!(jobs.early.is_empty());
    }

    #[tokio::test]
    async fn all_who_were_given_the_same_job_hear_of_its_end() {
        let mut jobs = Jobs::default();
        jobs.call_opened();
        jobs.call_opened();
        let one = jobs.call_closed(Some("/job/1")).unwrap();
        let two = jobs.call_closed(Some("/job/1")).unwrap();
        jobs.ended("/job/1", JobResult::Done);
        assert_eq!(one.result().await, JobResult::Done);
        assert_eq!(two.result().await, JobResult::Done);

        // although it was over before either of them knew its name
        jobs.call_opened();
        jobs.call_opened();
        jobs.ended("/job/2", JobResult::Done);
        let one = jobs.call_closed(Some("/job/2")).unwrap();
        let two = jobs.call_closed(Some("/job/2")).unwrap();
        assert_eq!(one.result().await, JobResult::Done);
        assert_eq!(two.result().await, JobResult::Done);
        assert!(jobs.early.is_empty());
    }

    #[tokio::test]
    async fn foreign_jobs_leave_nothing_behind() {
        let mut jobs = Jobs::default();
        jobs.ended("/job/1", JobResult::Done);
        assert!(jobs.early.is_empty());
        jobs.call_opened();
        jobs.ended("/job/2", JobResult::Done);
        assert!(jobs.call_closed(None).is_none());
        assert!(jobs.early.is_empty());
    }

    #[tokio::test]
    async fn a_job_whose_end_nobody_heard_is_lost() {
        let mut jobs = Jobs::default();
        jobs.call_opened();
        let job = jobs.call_closed(Some("/job/1")).unwrap();
        jobs.lose_all();
        assert_eq!(job.result().await, JobResult::Lost);
    }

    #[test]
    fn systemds_words_are_kept() {
        assert_eq!(JobResult::of("dependency").to_string(), "dependency");
        assert_eq!(JobResult::of("done"), JobResult::Done);
    }
}
