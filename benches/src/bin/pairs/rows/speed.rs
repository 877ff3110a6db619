//! What work costs, and how long it takes, beside the floor and beside Kafka.

use crate::figure::Figure::{
    AckP50, AckP99, AckP999, AnswerP50, AnswerP99, CpuPerAnswer, CpuPerGb, CpuPerRecord,
    EndToEndP50, EndToEndP99, RecordsPerSecond, Resident,
};
use crate::row::{Amount, FLOOR, KAFKA, KLAMM, Mode, Pace, Row, System, klamm, load};

/// While the floor's own 99th percentile is above that (microseconds), the machine is too busy for
/// ours to mean anything.
const QUIET: f64 = 100.0;

pub(super) fn producing() -> Vec<Row> {
    let kilobytes = "produce --producers 4 --record-size 1KiB --batch-size 64KiB";
    let small = "produce --producers 4 --record-size 100 --batch-size 16KiB";
    let mut all = vec![
        Row {
            name: "produce-1k",
            line: "produce, 1 KiB records in 64 KiB batches",
            mode: Mode::Os,
            sides: klamm(KLAMM, load(kilobytes, Amount::Records(1_000_000)))
                .partitions(4)
                .beside("receive"),
            figures: vec![CpuPerGb, RecordsPerSecond, Resident],
            gates: vec![
                CpuPerGb.on(KLAMM).at_most_times(1.5, FLOOR),
                CpuPerGb.on(KLAMM).at_most_times(1.0 / 3.0, KAFKA),
            ],
        },
        Row {
            name: "produce-100",
            line: "produce, 100 B records in 16 KiB batches",
            mode: Mode::Os,
            sides: klamm(KLAMM, load(small, Amount::Records(8_000_000)))
                .partitions(4)
                .beside("receive"),
            figures: vec![CpuPerRecord, CpuPerGb, RecordsPerSecond, Resident],
            gates: vec![CpuPerRecord.on(KLAMM).at_most(0.15)],
        },
        Row {
            name: "in-and-out",
            line: "100 B records in and out at once, every one checked",
            mode: Mode::Os,
            sides: klamm(
                KLAMM,
                load(
                    "end-to-end --producers 4 --consumers 4 --record-size 100",
                    Amount::Records(8_000_000),
                ),
            )
            .partitions(4)
            .beside("sendfile"),
            figures: vec![RecordsPerSecond, CpuPerRecord, CpuPerGb, Resident],
            gates: vec![RecordsPerSecond.on(KLAMM).at_least(1e6)],
        },
    ];
    all.extend(
        [
            (
                "fsync-1",
                "1 producer of batches of 4 KiB, up to 5 in flight",
                1,
                "produce --batch-size 4KiB",
            ),
            (
                "fsync-16",
                "16 producers of batches of 4 KiB, each with a partition",
                16,
                "produce --batch-size 4KiB --producers 16",
            ),
            (
                "fsync-256",
                "256 producers of batches of 4 KiB, each with a partition",
                256,
                "produce --batch-size 4KiB --producers 256",
            ),
        ]
        .map(|(name, line, partitions, arguments)| Row {
            name,
            line,
            mode: Mode::Fsync,
            sides: klamm(KLAMM, load(arguments, Amount::Seconds(4.0)))
                .partitions(partitions)
                .beside("commit"),
            figures: vec![RecordsPerSecond, AckP50, AckP99, CpuPerGb, Resident],
            gates: match partitions {
                1 => vec![RecordsPerSecond.on(KLAMM).at_least_times(0.8, FLOOR)],
                _ => vec![
                    RecordsPerSecond.on(KLAMM).at_least_times(0.8, FLOOR),
                    RecordsPerSecond.on(KLAMM).at_least_times(5.0, KAFKA),
                ],
            },
        }),
    );
    all
}

pub(super) fn fetching() -> Vec<Row> {
    let gigabyte = load(
        "produce --producers 4 --record-size 1KiB --batch-size 64KiB",
        Amount::Records(1_000_000),
    );
    // Each partition is read four times.
    let catch_up = load("consume --consumers 16", Amount::All);
    let tail = load(
        "consume --consumers 16 --partition-bytes 64KiB",
        Amount::All,
    );
    let gates = vec![
        CpuPerGb.on(KLAMM).at_most_times(1.3, FLOOR),
        CpuPerGb.on(KLAMM).at_most_times(0.6, KAFKA),
    ];
    vec![
        Row {
            name: "fetch-catch-up",
            line: "fetch of sealed segments from the page cache, up to 1 MiB at once",
            mode: Mode::Os,
            sides: klamm(KLAMM, catch_up)
                .partitions(4)
                .topic("segment.bytes=16777216")
                .filled(gigabyte.clone())
                .beside("sendfile"),
            figures: vec![CpuPerGb, RecordsPerSecond, Resident],
            gates: gates.clone(),
        },
        Row {
            name: "fetch-tail",
            line: "fetch of the active segment, a batch of 64 KiB at once",
            mode: Mode::Os,
            sides: klamm(KLAMM, tail)
                .partitions(4)
                .filled(gigabyte)
                .beside("sendfile"),
            figures: vec![CpuPerGb, RecordsPerSecond, Resident],
            gates,
        },
        Row {
            name: "fetch-16k",
            line: "Fetch of 16 KiB from the active segment, one after the other",
            mode: Mode::Os,
            sides: klamm(KLAMM, load("consume --partition-bytes 16KiB", Amount::All))
                .filled(load(
                    "produce --record-size 1KiB --batch-size 16KiB",
                    Amount::Records(300_000),
                ))
                .beside("sendfile"),
            figures: vec![AnswerP50, AnswerP99, CpuPerGb],
            gates: vec![AnswerP99.on(KLAMM).at_most(500.0).given(FLOOR, QUIET)],
        },
    ]
}

pub(super) fn latencies() -> Vec<Row> {
    let single = "produce --producers 4 --record-size 1KiB --batch-size 1";
    let batches = "produce --producers 4 --record-size 1KiB --batch-size 16KiB";
    let mut all: Vec<_> = [
        (
            "ack-50",
            "acknowledgement of 1 KiB records in 16 KiB batches, at 50 % of saturation",
            0.5,
        ),
        (
            "ack-10",
            "acknowledgement of 1 KiB records in 16 KiB batches, at 10 % of saturation",
            0.1,
        ),
    ]
    .map(|(name, line, share)| Row {
        name,
        line,
        mode: Mode::Os,
        sides: klamm(
            KLAMM,
            load(batches, Amount::Seconds(3.0)).at(Pace::Share(share)),
        )
        .partitions(4)
        .beside("ping-pong"),
        figures: vec![AckP50, AckP99, AckP999, CpuPerGb, Resident],
        gates: vec![AckP50.on(KLAMM).at_most_times(2.0, FLOOR)],
    })
    .into();
    all.push(Row {
        name: "ack-1000",
        line: "acknowledgement of single records of 1 KiB, 1,000 a second",
        mode: Mode::Os,
        sides: klamm(
            KLAMM,
            load(single, Amount::Seconds(4.0)).at(Pace::Rate(1_000.0)),
        )
        .partitions(4)
        .beside("ping-pong"),
        figures: vec![AckP50, AckP99],
        gates: vec![AckP99.on(KLAMM).at_most(1_000.0).given(FLOOR, QUIET)],
    });
    all.push(Row {
        name: "end-to-end",
        line: "single records of 1 KiB, 1,000 a second, to a consumer that waits",
        mode: Mode::Os,
        sides: klamm(
            KLAMM,
            load(
                "end-to-end --record-size 1KiB --batch-size 1",
                Amount::Seconds(4.0),
            )
            .at(Pace::Rate(1_000.0)),
        )
        .beside("sendfile"),
        figures: vec![EndToEndP50, EndToEndP99, AckP50],
        gates: vec![EndToEndP50.on(KLAMM).at_most_over(150.0, FLOOR)],
    });
    all.push(wake_ups());
    all
}

fn wake_ups() -> Row {
    let waiting = |arguments| {
        let load = load(arguments, Amount::Seconds(4.0)).at(Pace::Rate(100.0));
        klamm("200 waiting", load)
    };
    let fifty = waiting("end-to-end --batch-size 1 --consumers 50");
    let hundred = waiting("end-to-end --batch-size 1 --consumers 100");
    let all = waiting("end-to-end --batch-size 1 --consumers 200");
    Row {
        name: "wake-ups",
        line: "consumers that wait on one partition, 100 records a second",
        mode: Mode::Os,
        sides: vec![
            all.of(FLOOR, System::Floor("sendfile")),
            fifty.of("50 waiting", System::Klamm),
            hundred.of("100 waiting", System::Klamm),
            all.clone(),
            all.of(KAFKA, System::Kafka),
        ],
        figures: vec![CpuPerAnswer, EndToEndP50, EndToEndP99],
        gates: vec![
            CpuPerAnswer.on("200 waiting").at_most(10.0),
            // Linear: one costs no more among many.
            CpuPerAnswer
                .on("200 waiting")
                .at_most_times(1.25, "50 waiting"),
        ],
    }
}
