//! Topics that take the name of one that was deleted, over power cuts.

use super::*;
use crate::io::PowerCutIo;

#[test]
fn what_was_acknowledged_in_a_deleted_topic_never_comes_back_in_one_of_its_name() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let io = PowerCutIo::new();
        let bed = Bed::new(io.clone(), Path::new("/"));
        let spec = |topic| PartitionSpec {
            topic_name: TopicName::new("again").unwrap(),
            ..bed.spec(topic)
        };
        let (store, _) = bed.open();
        let old = store.attach(spec(1));
        let appended = old.append(batch(&["old"]), false).unwrap();
        wait_committed(&old, appended.next_offset).unwrap();
        let id = old.context().id;
        drop(old);
        let _ = store.delete(&id);
        let new = store.attach(spec(2));
        if random.bool() {
            // In the page cache, perhaps on disk.
            new.append(batch(&["new"]), false).unwrap();
        }
        io.cut_after(0);
        drop((new, store));
        let left = io.after_cut(&mut random);
        let bed = Bed::new(left, Path::new("/"));
        let (store, _) = bed.open();
        let new = store.attach(spec(2));
        store.recover();
        store.remove_strays();
        for (_, value) in read_all(&new, 0, 1_000, Isolation::LogEnd) {
            assert_eq!(value, "new", "seed {seed}");
        }
    }
}
