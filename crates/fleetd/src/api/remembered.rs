//! Lists whose first page somebody has just had: the following pages come from the same picture, and are not read again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::ApiError;
use super::page::Page;

/// How long the next page may take to be asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The list of which pages were asked for last.
pub(super) struct Remembered<T>(Mutex<Option<List<T>>>);

struct List<T> {
    /// What it was filtered by.
    filter: String,
    items: Arc<Vec<T>>,
    asked: Instant,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered(Mutex::new(None))
    }
}

impl<T: Clone> Remembered<T> {
    /// A page of the list by that filter, and the next page's token. The list is read for its first page, or when its pages were
    /// not asked for in time.
    pub(super) async fn page(
        &self,
        page: Page,
        filter: String,
        read: impl Future<Output = Result<Vec<T>, ApiError>>,
    ) -> Result<(Vec<T>, String), ApiError> {
        let all = match self.get(&filter).filter(|_| !page.is_first()) {
            Some(all) => all,
            None => Arc::new(read.await?),
        };
        let (items, next) = page.of(&all);
        match next.is_empty() {
            true => self.forget(),
            false => self.keep(filter, all),
        }
        Ok((items, next))
    }
}

impl<T> Remembered<T> {
    /// The list by that filter, unless it is another one by now, or too old.
    fn get(&self, filter: &str) -> Option<Arc<Vec<T>>> {
        let list = self.lock();
        let list = list.as_ref().filter(|list| list.filter == filter);
        let list = list.filter(|list| list.asked.elapsed() < PATIENCE)?;
        Some(list.items.clone())
    }

    /// More pages of the list may be asked for.
    fn keep(&self, filter: String, items: Arc<Vec<T>>) {
        let asked = Instant::now();
        *self.lock() = Some(List {
            filter,
            items,
            asked,
        });
    }

    /// The last page has been handed out.
    fn forget(&self) {
        *self.lock() = None;
    }

    /// A panic elsewhere leaves the list whole: it is one assignment.
    fn lock(&self) -> MutexGuard<'_, Option<List<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_page_is_of_the_same_list_if_it_is_asked_for_in_time() {
        let lists = Remembered::default();
        lists.keep("a".to_owned(), Arc::new(vec![1, 2, 3]));
        assert_eq!(lists.get("a").as_deref(), Some(&vec![1, 2, 3]));
        assert_eq!(lists.get("b"), None, "another filter is another list");
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(lists.get("a"), None);
        lists.keep("b".to_owned(), Arc::new(vec![4]));
        lists.forget();
        assert_eq!(lists.get("b"), None);
    }
}
