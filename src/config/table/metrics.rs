//! Metrics and telemetry.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// How often Kafka's metrics reporters are polled.
    KAFKA_METRICS_POLLING_INTERVAL_SECS: i32 = with("kafka.metrics.polling.interval.secs", "10")
        .check(Check::AtLeast(1))
        .inert(inert::JVM);
    /// Java classes that report metrics.
    KAFKA_METRICS_REPORTERS: Vec<String> = with("kafka.metrics.reporters", "").inert(inert::JVM);
    /// Java classes that report metrics.
    METRIC_REPORTERS: Vec<String> = with("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter")
        .dynamic()
        .inert(inert::JVM);
    /// Samples per metric.
    METRICS_NUM_SAMPLES: i32 = with("metrics.num.samples", "2")
        .check(Check::AtLeast(1))
        .inert(inert::JVM);
    /// Level from which metrics are recorded.
    METRICS_RECORDING_LEVEL: String = with("metrics.recording.level", "INFO").inert(inert::JVM);
    /// Length of a sample.
    METRICS_SAMPLE_WINDOW_MS: i64 = with("metrics.sample.window.ms", "30000")
        .check(Check::AtLeast(1))
        .inert(inert::JVM);
    /// Largest telemetry push of a client.
    TELEMETRY_MAX_BYTES: i32 = with("telemetry.max.bytes", "1048576")
        .check(Check::AtLeast(1))
        .inert(inert::TELEMETRY);
}
