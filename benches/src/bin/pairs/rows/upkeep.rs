//! What a server does with old data, and what that does to new.

use crate::figure::Figure::{
    AckP50, AckP99, AnswerP50, CpuPerAnswer, CpuPerGb, OpenHits, RecordsPerSecond, Resident,
};
use crate::row::{
    Amount, FLOOR, Fill, KAFKA, KLAMM, Lookup, Meanwhile, Mode, Pace, Row, Side, System, Work,
    klamm, load,
};

/// Compaction, open files, and what happens beside the work.
pub(super) fn upkeep() -> Vec<Row> {
    vec![compaction(), cache(), interference()]
}

fn compaction() -> Row {
    let filled = |name, work| {
        klamm(name, work)
            .filled(Fill::Keyed(500_000))
            .topic("segment.bytes=16777216")
            // The records are of a fixed day, which is long ago.
            .topic("retention.ms=-1")
            .setting("log.cleaner.backoff.ms=100")
    };
    let cleaned = filled(KLAMM, Work::Compact);
    Row {
        name: "compaction",
        line: "compaction of 1 KiB records, of which about two in five stay",
        mode: Mode::Os,
        sides: vec![
            // Of files that Klamm has written.
            filled(FLOOR, Work::Copy),
            cleaned.clone(),
            cleaned.of(KAFKA, System::Kafka),
        ],
        figures: vec![CpuPerGb, Resident],
        gates: vec![CpuPerGb.on(KLAMM).at_most_times(1.5, FLOOR)],
    }
}

/// What finds its file open, and what must open it: nothing else of a log is cached by Klamm. A
/// lookup uses two files of a segment, its index and its log; there are about 490, 124 or 32 of
/// them, so that each capacity is below one of these numbers and above another.
fn cache() -> Row {
    let quarter = load(
        "produce --producers 4 --batch-size 4KiB",
        Amount::Records(250_000),
    );
    let log = |name, segment, files| -> Side {
        klamm(name, Work::Lookups(Lookup::RandomOffset, 10_000))
            .filled(quarter.clone())
            .counting_files()
            .topic(segment)
            .setting(files)
    };
    let small = "segment.bytes=1048576";
    let middle = "segment.bytes=4194304";
    let large = "segment.bytes=16777216";
    let [few, some, many] = [
        "klamm.open.files.max=16",
        "klamm.open.files.max=64",
        "klamm.open.files.max=512",
    ];
    Row {
        name: "cache",
        line: "Fetch of one batch of 4 KiB at a random offset, by size of segments and files kept open",
        mode: Mode::Os,
        sides: vec![
            log("1 MiB, 16 files", small, few),
            log("1 MiB, 64 files", small, some),
            log("1 MiB, 512 files", small, many),
            log("4 MiB, 16 files", middle, few),
            log("4 MiB, 64 files", middle, some),
            log("4 MiB, 512 files", middle, many),
            log("16 MiB, 16 files", large, few),
            log("16 MiB, 64 files", large, some),
            log("16 MiB, 512 files", large, many),
        ],
        figures: vec![OpenHits, CpuPerAnswer, AnswerP50, Resident],
        gates: Vec::new(),
    }
}

fn interference() -> Row {
    let half = load(
        "produce --producers 4 --record-size 1KiB --batch-size 1",
        Amount::Seconds(4.0),
    );
    let quiet = klamm("quiet", half.at(Pace::Share(0.5))).partitions(4);
    let beside = |name| quiet.of(name, System::Klamm);
    Row {
        name: "interference",
        line: "single records of 1 KiB at 50 % of saturation, while something else happens",
        mode: Mode::Os,
        sides: vec![
            quiet.clone(),
            beside("catch-up").meanwhile(Meanwhile::CatchUp(1_000_000)),
            beside("compaction").meanwhile(Meanwhile::Compaction(500_000)),
            beside("roll").topic("segment.bytes=1048576"),
            beside("retention")
                .topic("segment.bytes=1048576")
                .topic("retention.bytes=2097152")
                .setting("log.retention.check.interval.ms=200"),
        ],
        figures: vec![RecordsPerSecond, AckP50, AckP99],
        gates: ["catch-up", "compaction", "roll", "retention"]
            .map(|side| RecordsPerSecond.on(side).at_least_times(0.85, "quiet"))
            .into(),
    }
}
