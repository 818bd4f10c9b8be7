//! The log, on stderr. Under systemd each line carries its priority for the journal.
//!
//! The journal's own protocol would keep fields apart from the message, where `journalctl` does not show them:
//! an error's cause would be out of sight. So lines hold both, as they do on a terminal.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// What debug logs are wanted of: ourselves, not every frame of the libraries below.
const DEBUG: &str = "info,fleetd=debug,agent=debug,engine=debug,registry=debug,store=debug";

/// Changes how much is logged while fleetd runs.
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Starts logging; `RUST_LOG` in the environment beats `verbosity`.
pub fn start(verbosity: i64) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter(verbosity));
    tracing_subscriber::registry()
        .with(filter)
        .with(output())
        .init();
    LogLevel(handle)
}

impl LogLevel {
    /// Takes over another `verbosity`.
    pub fn set(&self, verbosity: i64) {
        if let Err(error) = self.0.reload(filter(verbosity)) {
            tracing::warn!(%error, "changing the verbosity of the log failed");
        }
    }
}

fn filter(verbosity: i64) -> EnvFilter {
    let default = if verbosity > 0 { DEBUG } else { "info" };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;

/// systemd sets `JOURNAL_STREAM` where stderr leads to the journal, which adds the time itself.
fn output() -> Box<dyn Layer<Filtered> + Send + Sync> {
    let stderr = layer().with_writer(std::io::stderr);
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => stderr.with_ansi(false).event_format(ForJournal).boxed(),
        None => stderr
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
    }
}

/// `<4>message field=value`, with the priorities of sd-daemon(3).
struct ForJournal;

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
