//! The body of a log: its text as it comes, for as long as its reader may read it.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::pods::LogStream;

/// Returns the text of `source` until it ends, or until `may_continue` says no; it is asked each `period`, also while
/// text comes without a pause.
pub fn while_allowed(
    source: LogStream,
    period: Duration,
    may_continue: impl FnMut() -> bool + Send + 'static,
) -> LogStream {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (source, ticks, may_continue);
    futures::stream::unfold(state, |(mut source, mut ticks, mut may_continue)| async move {
        loop {
            tokio::select! {
                // The question comes first: a source that always has something would put it off for ever.
                biased;
                _ = ticks.tick() => {
                    if !may_continue() {
                        return None;
                    }
                }
                piece = source.next() => return Some((piece?, (source, ticks, may_continue))),
            }
        }
    })
    .boxed()
}
