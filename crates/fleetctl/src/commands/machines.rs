//! What commands about several machines share: each is told of, and a failure of one hides no other.

use anyhow::Context;

use crate::client::{Client, ClientError};
use crate::output;
use crate::remote::Place;

/// The machines that words name.
pub(super) struct Named {
    /// Each once, in the order of the words.
    pub(super) places: Vec<Place>,
    /// Every word names one.
    pub(super) all: bool,
}

/// Looks the words up with `find`, and says what is wrong with those that name no machine.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn named(
    client: &Client,
    words: &[String],
    verb: &str,
    find: impl AsyncFn(&Client, &str) -> anyhow::Result<Place>,
) -> anyhow::Result<Named> {
    let (mut places, mut all) = (Vec::new(), true);
    for word in words {
        let found = find(client, word).await;
        match found.with_context(|| format!("Unable to {verb}")) {
            Ok(place) if places.contains(&place) => {}
            Ok(place) => places.push(place),
            Err(error) if client_error(&error).is_some() => return Err(error),
            Err(error) => {
                output::warn(&format!("{error:#}"));
                all = false;
            }
        }
    }
    Ok(Named { places, all })
}

/// What came out well; what did not is said here.
///
/// # Errors
/// A server that cannot be reached: the next machine would fare no better.
pub(super) fn told<T>(outcome: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match outcome {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) if is_unreachable(&error) => Err(error),
        Err(error) => {
            output::warn(&format!("{error:#}"));
            Ok(None)
        }
    }
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    client_error(error).is_some_and(|error| error.cure().is_some())
}

fn client_error(error: &anyhow::Error) -> Option<&ClientError> {
    error.chain().find_map(|cause| cause.downcast_ref())
}
