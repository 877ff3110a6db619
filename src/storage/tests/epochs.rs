//! Leader epochs over power cuts: below the durable offset a start reads no headers, as long as the
//! file of the epochs has what is in them.

use super::*;
use crate::io::PowerCutIo;

#[test]
fn batches_of_every_epoch_are_read_after_power_cuts_in_a_row() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut io = PowerCutIo::new();
        let mut all: Vec<(i64, String)> = Vec::new();
        for epoch in 0..5 {
            let mut bed = Bed::new(io.clone(), Path::new("/"));
            bed.config.segment_bytes = 300;
            let (store, _) = bed.open();
            let partition = store.attach(PartitionSpec {
                leader_epoch: LeaderEpoch(epoch),
                ..bed.spec(1)
            });
            assert_eq!(
                read_all(&partition, 0, 1_000, Isolation::LogEnd),
                all,
                "seed {seed}, epoch {epoch}"
            );
            // What the first rounds made durable is noted in the later ones.
            for _ in 0..random.usize(1..6) {
                let value = all.len().to_string();
                let appended = partition.append(batch(&[&value]), false).unwrap();
                wait_committed(&partition, appended.next_offset).unwrap();
                all.push((appended.base_offset.0, value));
            }
            io.cut_after(0);
            drop((partition, store));
            io = io.after_cut(&mut random);
        }
    }
}
