//! A log for each partition: receive, checksum, `pwrite`; and `sendfile` to readers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use rustix::net::SendFlags;

use crate::echo::{LAST_DELTA_AT, check_crc, field};
use crate::files;
use crate::protocol::{self, FETCHED, Fetch, Topic, Wanted};
use crate::serve::{Floor, Peer};

/// Stores batches, and serves them if it is to.
#[derive(Debug)]
pub struct Log {
    partitions: Vec<Partition>,
    /// Without readers nothing is spent on them.
    readers: bool,
    /// The last Fetch, to be used again.
    request: Fetch,
}

/// One partition.
#[derive(Debug)]
struct Partition {
    file: File,
    position: u64,
    next: i64,
    /// Offset and position of each batch, for readers.
    index: Vec<(i64, u64)>,
}

/// What is sent of one partition.
struct Region<'a> {
    number: i32,
    partition: &'a Partition,
    begin: u64,
    bytes: usize,
}

impl Log {
    /// With files in that directory; whether there will be `readers`.
    ///
    /// # Errors
    /// If files cannot be made.
    pub fn create(directory: &Path, topic: &Topic, readers: bool) -> io::Result<Self> {
        let count = usize::try_from(topic.partitions).unwrap_or(0);
        let partition = |file| Partition {
            file,
            position: 0,
            next: 0,
            index: Vec::new(),
        };
        let files = files::create(directory, count)?;
        Ok(Self {
            partitions: files.into_iter().map(partition).collect(),
            readers,
            request: Fetch::default(),
        })
    }

    fn place(&self, number: i32) -> io::Result<usize> {
        usize::try_from(number)
            .ok()
            .filter(|place| *place < self.partitions.len())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn region(&self, wanted: &Wanted) -> io::Result<Region<'_>> {
        let place = self.place(wanted.partition)?;
        let partition = self.partitions.get(place);
        let partition = partition.ok_or(io::ErrorKind::NotFound)?;
        let (begin, bytes) = partition.find(wanted);
        Ok(Region {
            number: wanted.partition,
            partition,
            begin,
            bytes,
        })
    }
}

impl Partition {
    /// Where whole batches from an offset on are, and how many bytes of them.
    fn find(&self, wanted: &Wanted) -> (u64, usize) {
        let place = self
            .index
            .partition_point(|(base, _)| *base <= wanted.offset);
        let place = place.saturating_sub(1);
        let Some(&(_, begin)) = self.index.get(place).filter(|_| wanted.offset < self.next) else {
            return (self.position, 0);
        };
        let most = begin.saturating_add(wanted.bytes as u64);
        let bytes = |end: u64| usize::try_from(end - begin).unwrap_or(0);
        if self.position <= most {
            return (begin, bytes(self.position));
        }
        // Where batches end is where others begin. The first counts even if it does not fit.
        let ends = self.index.get(place + 1..).unwrap_or_default();
        let fit = ends.partition_point(|(_, end)| *end <= most);
        let end = ends.get(fit.saturating_sub(1));
        (begin, bytes(end.map_or(self.position, |(_, end)| *end)))
    }
}

impl Floor for Log {
    fn produce(&mut self, frame: &mut [u8], peer: &mut Peer) -> io::Result<()> {
        let request = protocol::produce(frame).map_err(protocol::malformed)?;
        let batch = frame.get_mut(request.batch.clone()).unwrap_or_default();
        check_crc(batch)?;
        let records = i32::from_be_bytes(field(batch, LAST_DELTA_AT)).saturating_add(1);
        let place = self.place(request.partition)?;
        let partition = self.partitions.get_mut(place);
        let partition = partition.ok_or(io::ErrorKind::NotFound)?;
        let base = partition.next;
        if let Some(field) = batch.first_chunk_mut() {
            *field = base.to_be_bytes();
        }
        partition.file.write_all_at(batch, partition.position)?;
        if self.readers {
            partition.index.push((base, partition.position));
        }
        partition.next += i64::from(records);
        partition.position += batch.len() as u64;
        peer.answer(&request, base);
        Ok(())
    }

    fn fetch(
        &mut self,
        frame: &[u8],
        peer: &mut Peer,
        waited: bool,
    ) -> io::Result<Option<Instant>> {
        if !self.readers {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut request = std::mem::take(&mut self.request);
        protocol::fetch(frame, &mut request).map_err(protocol::malformed)?;
        let regions = request.wanted.iter().map(|wanted| self.region(wanted));
        let regions = regions.collect::<io::Result<Vec<_>>>()?;
        let found = regions.iter().any(|region| region.bytes > 0);
        let wait = if found || waited {
            send(request.correlation, &regions, peer)?;
            None
        } else {
            Some(Instant::now() + request.wait)
        };
        self.request = request;
        Ok(wait)
    }

    fn end(&self, partition: i32) -> i64 {
        let place = self.place(partition).unwrap_or(usize::MAX);
        self.partitions
            .get(place)
            .map_or(0, |partition| partition.next)
    }
}

/// Sends heads from memory and batches from the page cache.
fn send(correlation: i32, regions: &[Region<'_>], peer: &mut Peer) -> io::Result<()> {
    let mut heads = Vec::with_capacity(regions.len());
    let mut length = 0;
    for region in regions {
        let head = protocol::fetched_head(region.number, region.partition.next, region.bytes)?;
        // Behind the batches stands a zero.
        length += head.len() + region.bytes + 1;
        heads.push(head);
    }
    let head = peer.answers.fetched(correlation, regions.len(), length)?;
    peer.out.extend(head);
    for (head, region) in heads.iter().zip(regions) {
        peer.out.extend(head);
        if region.bytes > 0 {
            send_file(region, peer)?;
        }
        peer.out.push(0);
    }
    peer.out.extend(FETCHED);
    Ok(())
}

fn send_file(region: &Region<'_>, peer: &mut Peer) -> io::Result<()> {
    let mut head = peer.out.as_slice();
    while !head.is_empty() {
        let sent = rustix::net::send(&*peer.stream, head, SendFlags::MORE)?;
        head = head.get(sent..).unwrap_or_default();
    }
    peer.out.clear();
    let (mut at, mut left) = (region.begin, region.bytes);
    while left > 0 {
        let file = &region.partition.file;
        match rustix::fs::sendfile(&*peer.stream, file, Some(&mut at), left)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            sent => left -= sent,
        }
    }
    Ok(())
}
