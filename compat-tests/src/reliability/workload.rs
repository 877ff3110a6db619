//! What figures that cut power, kill and fail syncs keep a broker busy with.

use super::Options;
use super::client::Client;
use super::disk::Disk;
use super::groups::restless;
use super::load::{Load, Plan, Topic};
use super::node::Launch;

/// Topics whose segments are as small as Kafka allows by bytes, by time and by entries of the
/// index, so that rolls are frequent; one of which old segments go, and one that is compacted.
pub(super) fn topics() -> Vec<Topic> {
    let topic = |name: &str, partitions, configs: &[(&'static str, &str)]| {
        let mut configs: Vec<_> = configs
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect();
        configs.push(("retention.ms", "-1".to_owned()));
        configs.push(("file.delete.delay.ms", "100".to_owned()));
        Topic {
            name: name.to_owned(),
            partitions,
            configs,
        }
    };
    vec![
        topic("by-size", 4, &[("segment.bytes", "1048576")]),
        topic("by-time", 4, &[("segment.ms", "150")]),
        topic(
            "by-index",
            2,
            &[
                ("index.interval.bytes", "1024"),
                ("segment.index.bytes", "256"),
            ],
        ),
        topic(
            "retained",
            2,
            &[
                ("index.interval.bytes", "1024"),
                ("segment.index.bytes", "256"),
                ("retention.bytes", "100000"),
            ],
        ),
        topic(
            "compacted",
            2,
            &[
                ("cleanup.policy", "compact"),
                ("segment.ms", "100"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ],
        ),
    ]
}

/// A broker that has a lot to do in the background, the segments of committed offsets as small as
/// the others.
pub(super) fn launch(options: &Options, disk: &Disk, log: &str) -> Launch {
    let data = disk.path().join("data");
    let launch = Launch::new(&options.klamm, &data, &options.scratch.join(log));
    restless::settings(launch)
        .set("offsets.topic.segment.bytes", "1048576")
        .set("log.retention.check.interval.ms", "100")
        .set("log.cleaner.backoff.ms", "50")
}

/// Creates the topics of a plan.
pub(super) fn create_all(plan: &Plan, client: &mut Client) -> Result<(), String> {
    let mut topics = plan.topics.iter();
    topics.try_for_each(|topic| topic.create(client))
}

/// The ledger, beside the image.
pub(super) fn keep_account(options: &Options, load: &Load) {
    let path = options.scratch.join("ledger.txt");
    match load.ledger().write_to(&path) {
        Ok(()) => eprintln!("the ledger is in {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}
