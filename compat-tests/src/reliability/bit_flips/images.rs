//! Data directories that a real broker left behind, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use klamm::batch::BatchHeader;
use klamm::io::{MemoryIo, OpenMode, SharedIo};
use klamm::model::{PartitionId, TopicId, TopicPartition};
use klamm::storage::format::{journal, names, partition_metadata};

use super::super::Options;
use super::super::client::{Client, ToPartition};
use super::super::ledger::Value;
use super::super::load::Topic;
use super::super::node::{Launch, Node};
use crate::records::{Batch, Record};

/// Batches that are sent to each partition by each of the two lives of the broker.
const BATCHES: u64 = 60;

/// How long the journal of durable offsets may lag behind: it notes the last round of all once
/// nothing more comes.
const JOURNAL_SETTLES: Duration = Duration::from_millis(1500);

/// A batch as the broker stored it.
#[derive(Clone, Debug)]
pub(super) struct StoredBatch {
    /// Index of its file in [`Image::files`].
    pub(super) file: usize,
    /// Where it begins there.
    pub(super) position: usize,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Its first offset.
    pub(super) base: i64,
    /// The offset after it.
    pub(super) end: i64,
}

/// A partition's log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// Name of its directory.
    pub(super) directory: String,
    /// Its topic's name.
    pub(super) topic: String,
    /// Its topic's id, and its number.
    pub(super) id: TopicPartition,
    /// Its batches, in order.
    pub(super) batches: Vec<StoredBatch>,
    /// Below this offset it was durable when the broker stopped, as the journal says.
    pub(super) durable: i64,
    /// Whether the cleaner was there: offsets are missing, and that is no damage.
    pub(super) compacted: bool,
}

/// A data directory.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// What is told of it.
    pub(super) name: &'static str,
    /// Its files by their paths below it.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// The logs in it, without that of the metadata.
    pub(super) logs: Vec<Log>,
    /// Leader epoch of all partitions at the next start.
    pub(super) epoch: i32,
}

impl Image {
    /// The files, in a file system in memory, one of them changed.
    pub(super) fn in_memory(&self, flip: (usize, usize, u8)) -> SharedIo {
        let io = MemoryIo::shared();
        let root = Path::new("/data");
        io.create_dir_all(root).expect("memory");
        for (number, (path, content)) in self.files.iter().enumerate() {
            let path = root.join(path);
            io.create_dir_all(path.parent().expect("a parent"))
                .expect("memory");
            let file = io.open(&path, OpenMode::Create).expect("memory");
            let content = flipped(content, number, flip);
            file.write_all_at(&[&content], 0).expect("memory");
        }
        io
    }

    /// The files, below a directory of the machine, one of them changed.
    pub(super) fn on_disk(&self, root: &Path, flip: (usize, usize, u8)) {
        let _ = fs::remove_dir_all(root);
        for (number, (path, content)) in self.files.iter().enumerate() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, flipped(content, number, flip)).expect("room on the disk");
        }
    }
}

/// The content of a file, with a bit flipped if it is the one: file, byte and mask.
fn flipped(content: &[u8], file: usize, flip: (usize, usize, u8)) -> Vec<u8> {
    let mut content = content.to_vec();
    if file == flip.0 {
        content[flip.1] ^= flip.2;
    }
    content
}

/// Makes all images.
///
/// # Errors
/// Says what the broker did not do.
pub(super) fn make(options: &Options) -> Result<Vec<Image>, String> {
    let data = options.scratch.join("made");
    let launch = Launch::new(&options.klamm, &data, &options.scratch.join("made.log"));
    // Two lives, hence two leader epochs.
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    for topic in topics() {
        topic.create(&mut client)?;
    }
    let mut producers = Producers::default();
    producers.fill(&mut client)?;
    node.kill();
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    producers.fill(&mut client)?;
    std::thread::sleep(JOURNAL_SETTLES);
    node.kill();
    let unclean = read("unclean", &data, 2)?;
    stop(launch.start()?)?;
    let clean = read("clean", &data, 2)?;
    let compacted = compact(&clean, options)?;
    Ok(vec![unclean, clean, compacted])
}

fn stop(node: Node) -> Result<(), String> {
    match node.terminate(Duration::from_secs(30)) {
        Some(status) if status.success() => Ok(()),
        ended => Err(format!("a clean stop ended as {ended:?}")),
    }
}

/// Topics with segments of few entries in their indexes, so that there are many.
fn topics() -> Vec<Topic> {
    ["plain", "packed", "mixed"]
        .map(|name| Topic {
            name: name.to_owned(),
            partitions: 1,
            configs: vec![
                ("index.interval.bytes", "1024".to_owned()),
                ("segment.index.bytes", "128".to_owned()),
            ],
        })
        .to_vec()
}

/// Producers of all topics, who go on where they were.
#[derive(Default)]
struct Producers {
    sent: BTreeMap<&'static str, u64>,
    ids: BTreeMap<&'static str, (i64, i16, i32)>,
}

impl Producers {
    fn fill(&mut self, client: &mut Client) -> Result<(), String> {
        for number in 0..BATCHES {
            for (topic, codec) in [
                ("plain", 0),
                ("packed", 1 + (number % 4) as i16),
                ("mixed", (number % 5) as i16),
            ] {
                self.send(client, topic, codec, number)?;
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        client: &mut Client,
        topic: &'static str,
        codec: i16,
        number: u64,
    ) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{topic}: {error}");
        // Every third batch of one topic has no producer.
        let producer = match topic == "mixed" && number.is_multiple_of(3) {
            true => None,
            false if self.ids.contains_key(topic) => self.ids.get(topic).copied(),
            false => {
                let (id, epoch) = client.producer_id().map_err(failed)?;
                Some((id, epoch, 0))
            }
        };
        let sent = self.sent.entry(topic).or_default();
        let count = 1 + number % 7;
        let records = (0..count).map(|record| Record {
            key: Some(format!("key {record}").into_bytes()),
            value: Some(Value::new(1, *sent + record).payload()),
            ..Record::default()
        });
        let mut batch = Batch {
            records: records.collect(),
            ..Batch::of(&[])
        }
        .compressed(codec)
        .at(crate::records::TIME + number as i64);
        if let Some((id, epoch, sequence)) = producer {
            batch = batch.from_producer(id, epoch, sequence);
            let next = sequence + i32::try_from(count).expect("few");
            self.ids.insert(topic, (id, epoch, next));
        }
        let answer = client.produce(
            -1,
            ToPartition {
                topic: topic.to_owned(),
                partition: 0,
                batch: batch.bytes(),
            },
        );
        let answer = answer.map_err(failed)?;
        let expected = i64::try_from(*sent).expect("few");
        if (answer.code, answer.base_offset) != (0, expected) {
            return Err(format!("{topic}: {answer:?} for a batch at {expected}"));
        }
        *sent += count;
        Ok(())
    }
}

/// Reads a data directory that no broker runs on.
fn read(name: &'static str, data: &Path, epoch: i32) -> Result<Image, String> {
    let mut files = Vec::new();
    collect(data, data, &mut files).map_err(|error| format!("{}: {error}", data.display()))?;
    let journal = files
        .iter()
        .find(|(path, _)| path == Path::new(names::DURABLE_OFFSETS))
        .and_then(|(_, content)| journal::decode(content))
        .ok_or("no journal of durable offsets")?;
    let mut logs: BTreeMap<String, Log> = BTreeMap::new();
    for (number, (path, content)) in files.iter().enumerate() {
        let directory = path.parent().and_then(Path::to_str).unwrap_or_default();
        let Some((topic, partition)) = names::parse_partition_directory(directory) else {
            continue;
        };
        if directory.starts_with("__") || path.extension() != Some("log".as_ref()) {
            continue;
        }
        let metadata = Path::new(directory).join(names::PARTITION_METADATA);
        let id = files
            .iter()
            .find(|(path, _)| *path == metadata)
            .and_then(|(_, content)| {
                let text = std::str::from_utf8(content).ok()?;
                TopicId::from_base64(partition_metadata::decode(text).ok()?)
            })
            .ok_or_else(|| format!("{directory}: no topic id"))?;
        let id = TopicPartition {
            topic: id,
            partition: PartitionId(partition),
        };
        let durable = journal.points.get(&id).map_or(0, |point| point.offset.0);
        let log = logs.entry(directory.to_owned()).or_insert_with(|| Log {
            directory: directory.to_owned(),
            topic: topic.to_string(),
            id,
            batches: Vec::new(),
            durable,
            compacted: false,
        });
        log.batches.extend(batches(number, content)?);
    }
    let logs: Vec<Log> = logs.into_values().collect();
    for log in &logs {
        let segments: std::collections::BTreeSet<usize> =
            log.batches.iter().map(|batch| batch.file).collect();
        let end = log.batches.last().map_or(0, |batch| batch.end);
        if segments.len() < 3 || log.durable != end {
            return Err(format!(
                "{name}, {}: {} segments, durable to {}, ends at {end}",
                log.directory,
                segments.len(),
                log.durable
            ));
        }
    }
    Ok(Image {
        name,
        files,
        logs,
        epoch,
    })
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(below) = path.strip_prefix(root) {
            files.push((below.to_owned(), fs::read(&path)?));
        }
    }
    Ok(())
}

/// The batches of a `.log` file that is whole.
fn batches(file: usize, content: &[u8]) -> Result<Vec<StoredBatch>, String> {
    let (mut found, mut position) = (Vec::new(), 0);
    while position < content.len() {
        let rest = &content[position..];
        // Room that was made in advance.
        if rest.iter().all(|byte| *byte == 0) {
            break;
        }
        let header = BatchHeader::parse(rest).map_err(|error| error.to_string())?;
        let bytes = rest.get(..header.total_len()).ok_or("a cut batch")?;
        if !header.crc_matches(bytes) {
            return Err(format!("a damaged batch at {position}"));
        }
        found.push(StoredBatch {
            file,
            position,
            bytes: bytes.to_vec(),
            base: header.base_offset.0,
            end: header.next_offset().0,
        });
        position += bytes.len();
    }
    Ok(found)
}

/// The image as the cleaner might have left it: two of three batches are gone from one partition's
/// sealed segments, and the file that says where offsets may be missing tells of it.
fn compact(image: &Image, options: &Options) -> Result<Image, String> {
    let data = options.scratch.join("compacted");
    let mut image = image.clone();
    let log = image.logs.first().ok_or("no log")?;
    let last = log.batches.last().ok_or("no batch")?;
    let (directory, bound) = (log.directory.clone(), last.base);
    let mut kept: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut last_of: BTreeMap<usize, i64> = BTreeMap::new();
    for batch in &log.batches {
        last_of.insert(batch.file, batch.base);
    }
    for (number, batch) in log.batches.iter().enumerate() {
        let content = kept.entry(batch.file).or_default();
        if batch.file == last.file || number % 3 == 0 || last_of[&batch.file] == batch.base {
            content.extend(&batch.bytes);
        }
    }
    for (file, content) in kept {
        image.files[file].1 = content;
    }
    // What is made from batches is made anew by the next start.
    image.files.retain(|(path, _)| {
        let derived = path.extension().is_some_and(|ending| {
            ["index", "timeindex"]
                .iter()
                .any(|derived| ending == *derived)
        });
        !(derived && path.starts_with(&directory)) && path != Path::new(names::COMPACTED)
    });
    let (topic, partition) =
        names::parse_partition_directory(&directory).ok_or("no partition's name")?;
    let content = format!("0\n1\n{topic} {partition} {bound}\n");
    image
        .files
        .push((names::COMPACTED.into(), content.into_bytes()));
    image.on_disk(&data, (usize::MAX, 0, 0));
    let launch = Launch::new(
        &options.klamm,
        &data,
        &options.scratch.join("compacted.log"),
    );
    let node = launch.start()?;
    // Its indexes are made when it is first used.
    let mut client = node.client().map_err(|error| error.to_string())?;
    let read = super::super::reading::read(&mut client, &topic.to_string(), partition, 0);
    let faults = read.map_err(|error| error.to_string())?.faults;
    if !faults.is_empty() {
        return Err(format!("compacted: {faults:?}"));
    }
    stop(node)?;
    let mut image = self::read("compacted", &data, image.epoch)?;
    image.logs.retain(|log| log.directory == directory);
    for log in &mut image.logs {
        log.compacted = true;
    }
    Ok(image)
}
