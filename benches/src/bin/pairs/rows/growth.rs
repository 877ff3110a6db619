//! Klamm against itself, with more of something.

use crate::figure::Figure::{
    AckP50, AnswerP50, CpuPerAnswer, CpuPerGb, RecordsPerSecond, Resident, ResidentEach,
    ResidentPeakEach,
};
use crate::row::{Amount, Lookup, Mode, Pace, Row, System, Work, klamm, load};

/// All of them.
pub(super) fn growth() -> Vec<Row> {
    vec![
        partitions(),
        idle_partitions(),
        idle_connections(),
        many_clients(),
        lookups(
            "lookup-time",
            "ListOffsets by the time of a record",
            Lookup::Time,
        ),
        lookups(
            "lookup-offset",
            "Fetch of one batch of 4 KiB at an offset",
            Lookup::Offset,
        ),
    ]
}

fn partitions() -> Row {
    let work = load(
        "produce --producers 16 --record-size 1KiB",
        Amount::Records(1_000_000),
    );
    let one = klamm("1 partition", work.clone());
    let many = klamm("1,000 partitions", work).partitions(1_000);
    Row {
        name: "partitions",
        line: "produce, 1 KiB records in 16 KiB batches, the same bytes to more partitions",
        mode: Mode::Os,
        sides: vec![
            one.of("floor, 1", System::Floor("receive")),
            many.of("floor, 1,000", System::Floor("receive")),
            one.clone(),
            many.clone(),
            many.of("kafka, 1,000", System::Kafka),
        ],
        figures: vec![CpuPerGb, RecordsPerSecond, Resident],
        gates: vec![
            CpuPerGb
                .on("1,000 partitions")
                .at_most_times(2.5, "1 partition"),
        ],
    }
}

fn idle_partitions() -> Row {
    let once = load(
        "produce --producers 4 --batch-size 1",
        Amount::Records(20_000),
    );
    let partitions = |name, work: Work| klamm(name, work).partitions(1_000).units(1_000);
    Row {
        name: "idle-partitions",
        line: "1,000 partitions of which none is used",
        mode: Mode::Os,
        sides: vec![
            partitions("never used", Work::Rest),
            partitions("used before", once.into()),
        ],
        figures: vec![ResidentEach, Resident],
        gates: vec![
            ResidentEach.on("never used").at_most(6.0),
            ResidentEach.on("used before").at_most(6.0),
        ],
    }
}

fn idle_connections() -> Row {
    let work = load("produce --batch-size 1", Amount::Seconds(4.0)).at(Pace::Rate(1_000.0));
    Row {
        name: "connections",
        line: "acknowledgement of 1,000 single records a second beside idle connections",
        mode: Mode::Os,
        sides: vec![
            klamm("1 connection", work.clone()),
            klamm("5,000 idle", work).idle(5_000).units(5_000),
        ],
        figures: vec![AckP50, ResidentEach, Resident],
        gates: vec![
            AckP50.on("5,000 idle").at_most_times(1.2, "1 connection"),
            ResidentEach.on("5,000 idle").at_most(12.0),
        ],
    }
}

fn many_clients() -> Row {
    let work = |arguments| load(arguments, Amount::Records(1_000_000));
    Row {
        name: "many-clients",
        line: "producers and consumers of 1,000 partitions, all active",
        mode: Mode::Os,
        sides: vec![
            klamm("16 + 16", work("end-to-end --producers 16 --consumers 16"))
                .partitions(1_000)
                .units(32),
            klamm(
                "1,000 + 1,000",
                work("end-to-end --producers 1000 --consumers 1000"),
            )
            .partitions(1_000)
            .units(2_000),
        ],
        figures: vec![RecordsPerSecond, CpuPerGb, ResidentPeakEach],
        gates: vec![
            RecordsPerSecond
                .on("1,000 + 1,000")
                .at_least_times(0.8, "16 + 16"),
            ResidentPeakEach.on("1,000 + 1,000").at_most(64.0),
        ],
    }
}

fn lookups(name: &'static str, line: &'static str, lookup: Lookup) -> Row {
    let gigabyte = load(
        "produce --producers 4 --batch-size 4KiB",
        Amount::Records(1_000_000),
    );
    let log = |name| klamm(name, Work::Lookups(lookup, 20_000)).filled(gigabyte.clone());
    Row {
        name,
        line,
        mode: Mode::Os,
        sides: vec![
            log("1 segment"),
            // A fifth of them in a quick run.
            log("1,000 segments").topic("segment.bytes=1048576"),
        ],
        figures: vec![CpuPerAnswer, AnswerP50],
        gates: vec![
            CpuPerAnswer
                .on("1,000 segments")
                .at_most_times(2.0, "1 segment"),
        ],
    }
}
