//! What a run was, and how it went: for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::Args;
use crate::bench::{Limit, Progress, Report, Side, Summary, Target, Work};
use crate::kafka::client::error_name;
use crate::model::Acks;

/// From this share of the time on, a thread of the generator is what limits a figure; in less time
/// than this nothing can be told.
const BUSY: f64 = 0.9;
const BUSY_TIME: Duration = Duration::from_millis(100);

/// One line about the last second.
pub(super) fn progress(last: &Progress, now: &Progress) -> String {
    let seconds = now.elapsed.saturating_sub(last.elapsed).as_secs_f64();
    let mut line = format!("{:4.0} s", now.elapsed.as_secs_f64());
    for (name, before, count) in [
        ("produced", last.produced, now.produced),
        ("consumed", last.consumed, now.consumed),
    ] {
        let Some(count) = count else { continue };
        let before = before.unwrap_or_default();
        let records = (count.records - before.records) as f64 / seconds;
        let bytes = (count.bytes - before.bytes) as f64 / seconds;
        let _ = write!(
            line,
            "  {name} {} records/s {:.1} MB/s",
            grouped(records as u64),
            bytes / 1e6
        );
        if count.errors > 0 {
            let _ = write!(line, ", {} errors so far", grouped(count.errors));
        }
    }
    line
}

/// What was asked for.
pub(super) fn settings(name: &str, args: &Args, target: &Target, work: Work) -> Value {
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        all.insert(key.to_owned(), value);
    };
    put("command", json!(name));
    put("version", json!(env!("CARGO_PKG_VERSION")));
    put("topic", json!(args.topic().topic));
    put("partitions", json!(target.partitions.len()));
    if let Some(produce) = work.produce {
        put("producers", json!(produce.producers));
        put("producer_threads", json!(produce.threads));
        put("record_size", json!(produce.batch.record_bytes));
        put("batch_size", json!(produce.batch.batch_bytes));
        let codec = format!("{:?}", produce.batch.codec).to_lowercase();
        put("codec", json!(codec));
        put("rate", json!(produce.rate.unwrap_or(0.0)));
        put(
            "acks",
            json!(match produce.acks {
                Acks::None => "0",
                Acks::Leader => "1",
                Acks::All => "all",
            }),
        );
        put("in_flight", json!(produce.in_flight));
        put("produce_version", json!(target.produce_version));
        limit(&mut put, produce.limit);
    }
    if let Some(fetch) = work.fetch {
        put("consumers", json!(fetch.consumers));
        put("consumer_threads", json!(fetch.threads));
        put("max_wait_ms", json!(millis(fetch.wait)));
        put("min_bytes", json!(fetch.min_bytes));
        put("max_bytes", json!(fetch.max_bytes));
        put("partition_bytes", json!(fetch.partition_bytes));
        limit(&mut put, fetch.limit);
    }
    Value::Object(all)
}

fn limit(put: &mut impl FnMut(&str, Value), limit: Limit) {
    match limit {
        Limit::Duration(duration) => put("duration", json!(duration.as_secs_f64())),
        Limit::Records(records) => put("records", json!(records)),
        Limit::Ends => {}
    }
}

/// One value with everything.
pub(super) fn as_json(settings: Value, report: &Report) -> Value {
    let faults = &report.faults;
    json!({
        "settings": settings,
        "produced": report.produced.as_ref().map(side_as_json),
        "consumed": report.consumed.as_ref().map(side_as_json),
        "end_to_end_us": report.arrival.map(summary_as_json),
        "interrupted": report.interrupted,
        "faults": {"total": faults.total(), "counts": faults.counts, "told": faults.told},
    })
}

fn side_as_json(side: &Side) -> Value {
    let errors: Map<_, _> = side
        .errors
        .iter()
        .map(|(code, count)| (error_name(*code), json!(count)))
        .collect();
    json!({
        "records": side.count.records,
        "bytes": side.count.bytes,
        "requests": side.requests,
        "seconds": side.elapsed.as_secs_f64(),
        "records_per_second": rate(side.count.records, side.elapsed),
        "mb_per_second": rate(side.count.bytes, side.elapsed) / 1e6,
        "latency_us": side.latency.map(summary_as_json),
        "lateness_us": side.lateness.map(summary_as_json),
        "errors": errors,
        "lost": side.lost,
        "given_up": side.given_up,
        "unanswered": side.unanswered,
        "unsent": side.unsent,
        "client_cpu_seconds": side.cpu.as_secs_f64(),
        "busiest_thread": side.busiest,
        "client_bound": is_client_bound(side),
    })
}

fn is_client_bound(side: &Side) -> bool {
    side.busiest >= BUSY && side.cpu >= BUSY_TIME
}

fn summary_as_json(summary: Summary) -> Value {
    json!({
        "count": summary.count,
        "p50": micros(summary.p50),
        "p90": micros(summary.p90),
        "p99": micros(summary.p99),
        "p99.9": micros(summary.p999),
        "max": micros(summary.max),
    })
}

/// A page for people.
pub(super) fn as_text(settings: &Value, work: Work, report: &Report) -> String {
    let mut text = String::new();
    let paced = work.produce.is_some_and(|produce| produce.rate.is_some());
    if let Some(side) = &report.produced {
        let since = match paced {
            true => "acknowledged, from when due",
            false => "acknowledged, from the send",
        };
        side_as_text(&mut text, "produced", since, side);
    }
    if let Some(side) = &report.consumed {
        side_as_text(&mut text, "consumed", "fetches that found records", side);
    }
    if let Some(summary) = report.arrival {
        let since = match paced {
            true => "end to end, from when due",
            false => "end to end, from the send",
        };
        summary_as_text(&mut text, since, summary);
    }
    // Writing to a string does not fail, here and below.
    if report.consumed.is_some() {
        let read = report
            .consumed
            .as_ref()
            .map_or(0, |side| side.count.records);
        let _ = match report.faults.total() {
            0 if read == 0 => writeln!(text, "checked   nothing: no batch came"),
            0 => writeln!(
                text,
                "checked   every batch: checksum, count, offsets, sequence; no fault"
            ),
            faults => writeln!(text, "checked   {} FAULTS", grouped(faults)),
        };
        for fault in &report.faults.told {
            let _ = writeln!(text, "  {fault}");
        }
    }
    let _ = write!(text, "settings ");
    for (name, value) in settings.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, " {name}={value}");
    }
    text.push('\n');
    if report.interrupted {
        let _ = writeln!(text, "interrupted: these are the figures until then");
    }
    text
}

fn side_as_text(text: &mut String, name: &str, since: &str, side: &Side) {
    let _ = writeln!(
        text,
        "{name}  {} records, {:.1} MB in {:.2} s: {} records/s, {:.1} MB/s",
        grouped(side.count.records),
        side.count.bytes as f64 / 1e6,
        side.elapsed.as_secs_f64(),
        grouped(rate(side.count.records, side.elapsed) as u64),
        rate(side.count.bytes, side.elapsed) / 1e6,
    );
    if let Some(summary) = side.latency {
        summary_as_text(text, since, summary);
    }
    if let Some(summary) = side.lateness {
        summary_as_text(text, "the generator's own lateness", summary);
    }
    let bound = match is_client_bound(side) {
        true => ": bound by the client",
        false => "",
    };
    let _ = writeln!(
        text,
        "  client CPU {:.2} s, busiest thread {:.0} % of the time{bound}",
        side.cpu.as_secs_f64(),
        side.busiest * 100.0
    );
    for (code, count) in &side.errors {
        let _ = writeln!(text, "  {} times {}", grouped(*count), error_name(*code));
    }
    for (what, count) in [
        (
            "batches were due and not sent: the rate was not reached",
            side.unsent,
        ),
        ("batches were not answered", side.unanswered),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {} {what}", grouped(count));
        }
    }
    for partition in &side.given_up {
        let _ = writeln!(text, "  given up: {partition}");
    }
    for lost in &side.lost {
        let _ = writeln!(text, "  connection lost: {lost}");
    }
}

fn summary_as_text(text: &mut String, name: &str, summary: Summary) {
    let ms = |duration| format!("{:.3}", micros(duration) / 1000.0);
    let _ = writeln!(
        text,
        "  {name}: p50 {}  p90 {}  p99 {}  p99.9 {}  max {} ms",
        ms(summary.p50),
        ms(summary.p90),
        ms(summary.p99),
        ms(summary.p999),
        ms(summary.max)
    );
}

fn rate(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => count as f64 / time.as_secs_f64(),
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
