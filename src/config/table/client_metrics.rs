//! Settings of a client-metrics subscription.

use super::{inert, settings};

settings! { ClientMetrics:
    /// How often clients push their metrics.
    INTERVAL_MS: i32 = with("interval.ms", "300000").inert(inert::TELEMETRY);
    /// Which clients: `name=regex` entries.
    MATCH: Vec<String> = with("match", "").inert(inert::TELEMETRY);
    /// Prefixes of the metrics to push.
    METRICS: Vec<String> = with("metrics", "").inert(inert::TELEMETRY);
}
