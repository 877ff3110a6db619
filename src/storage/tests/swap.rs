//! Replacing segments, with a power cut between any two system calls.

use super::*;
use crate::io::PowerCutIo;
use crate::storage::log::scan::Depth;
use crate::storage::upkeep::rewrite::SegmentWriter;
use crate::storage::upkeep::swap::{Swap, SwapError};

/// A log of six segments with one batch each; offsets 0 to 5, values alike.
fn filled(bed: &Bed) -> (Arc<Store>, Arc<Partition>) {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for number in 0..6 {
        let value = format!("{number}").repeat(100);
        partition.append(batch(&[&value]), false).unwrap();
    }
    wait_committed(&partition, Offset(6)).unwrap();
    (store, partition)
}

fn bed_on(io: SharedIo) -> Bed {
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.segment_bytes = 200;
    bed
}

fn offsets_of(partition: &Partition) -> Vec<i64> {
    let all = read_all(partition, 0, 1 << 20, Isolation::LogEnd);
    all.into_iter().map(|(offset, _)| offset).collect()
}

/// Replaces the second to fourth segments by one with the batches at these offsets.
fn replace(partition: &Partition, kept: &[i64]) -> Result<(), SwapError> {
    let log = partition.log().unwrap();
    let context = log.context();
    let view = log.published().load().kept();
    let old = &view.segments[1..4];
    let swap = Swap {
        base: old[0].base,
        end: view.segments[4].base,
    };
    context.allow_gaps_below(swap.end).map_err(SwapError::Io)?;
    let (io, dir) = (&*context.core.io, &context.path);
    let mut writer = SegmentWriter::create(io, dir, swap, 4096, 64).map_err(SwapError::Io)?;
    for segment in old {
        let file = segment.log_file(context.files()).map_err(SwapError::Io)?;
        let len = segment.sealed_len().unwrap();
        let mut scan = segment.scan(&*file, Depth::Checksums, 0, len);
        while let Some(batch) = scan.next().unwrap() {
            let mut bytes = vec![0; batch.header.total_len()];
            read_full_at(&*file, &mut bytes, batch.position).unwrap();
            if kept.contains(&batch.header.base_offset.0) {
                writer
                    .append(&batch.header, &bytes)
                    .map_err(SwapError::Io)?;
            }
        }
    }
    let written = writer
        .finish(context.core.next_segment())
        .map_err(SwapError::Io)?;
    log.replace_segments(old, written)
}

fn file_names(io: &dyn crate::io::Io) -> Vec<String> {
    let entries = io.read_dir(Path::new("/data/topic.1-0")).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.iter().map(|entry| name(&entry.path)).collect()
}

#[test]
fn a_new_segment_takes_the_place_of_others_for_readers_and_on_disk() {
    on_every_io(|io, root| {
        let mut bed = Bed::new(io, root);
        bed.config.segment_bytes = 200;
        let (store, partition) = filled(&bed);
        // One reader has the view, and some files, of before.
        let before = partition.log().unwrap().published().load().kept();
        assert_eq!(offsets_of(&partition), [0, 1, 2, 3, 4, 5]);
        replace(&partition, &[2]).unwrap();
        assert_eq!(offsets_of(&partition), [0, 2, 4, 5]);
        assert_eq!(
            partition.log().unwrap().published().load().segments.len(),
            4
        );
        let files = partition.log().unwrap().context().files();
        assert!(
            before.segments[1].log_file(files).is_err(),
            "the name is the new segment's"
        );
        assert!(matches!(
            replace_again(&partition, &before),
            Err(SwapError::Changed)
        ));
        store.close().unwrap();
        drop((partition, store));
        for _ in 0..2 {
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(offsets_of(&partition), [0, 2, 4, 5]);
            let found = partition.first_at_or_after(NOW, Isolation::LogEnd).unwrap();
            assert_eq!(found.unwrap().offset, Offset(0));
        }
    });
}

/// Tries to replace segments that were replaced since `view`.
fn replace_again(
    partition: &Partition,
    view: &crate::storage::log::view::View,
) -> Result<(), SwapError> {
    let log = partition.log().unwrap();
    let context = log.context();
    let swap = Swap {
        base: view.segments[1].base,
        end: view.segments[2].base,
    };
    let (io, dir) = (&*context.core.io, &context.path);
    let writer = SegmentWriter::create(io, dir, swap, 4096, 64).unwrap();
    let written = writer.finish(context.core.next_segment()).unwrap();
    let refused = log.replace_segments(&view.segments[1..2], written);
    SegmentWriter::remove(io, dir, swap).unwrap();
    refused
}

#[test]
fn after_a_power_cut_there_are_the_old_segments_or_the_new_one_and_never_a_mixture() {
    let (mut old, mut new, mut cuts) = (0, 0, 0);
    for cut in 0.. {
        let io = PowerCutIo::new();
        let bed = bed_on(io.clone());
        let (store, partition) = filled(&bed);
        io.cut_after(cut);
        let replaced = replace(&partition, &[2]);
        let whole = !io.is_off();
        let served = offsets_of(&partition);
        assert!(
            served == [0, 1, 2, 3, 4, 5] || served == [0, 2, 4, 5],
            "{served:?}"
        );
        drop((partition, store));
        for seed in 0..25 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut left = io.after_cut(&mut random);
            let mut kept = None;
            // Interrupted once more, at any place; then undisturbed, twice.
            for round in 0..3 {
                let bed = bed_on(left.clone());
                if round == 0 {
                    left.cut_after(random.usize(..30));
                }
                if let Ok((store, _)) = Store::open(bed.options()) {
                    let partition = bed.attach(&store, 1);
                    if partition.offsets().is_ok() && !left.is_off() {
                        let found = offsets_of(&partition);
                        assert_eq!(kept.get_or_insert(found.clone()), &found);
                    }
                }
                if round > 0 {
                    let names = file_names(&*left);
                    let leftover = names.iter().find(|name| {
                        name.ends_with(".swap")
                            || name.ends_with(".cleaned")
                            || name.ends_with(".deleted")
                    });
                    assert_eq!(leftover, None, "cut {cut} seed {seed}");
                }
                left = left.after_cut(&mut random);
            }
            match kept.unwrap().as_slice() {
                [0, 1, 2, 3, 4, 5] if replaced.is_err() => old += 1,
                [0, 2, 4, 5] => new += 1,
                wrong => panic!("cut {cut} seed {seed}: {replaced:?} {wrong:?}"),
            }
        }
        if whole {
            break;
        }
        cuts = cut;
    }
    assert!(cuts > 15 && old > 100 && new > 100, "{cuts} {old} {new}");
}
