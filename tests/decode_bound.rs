//! What a decode may allocate is bounded before it allocates: a lie about a count or a length is
//! refused, and costs at most four times its frame and 64 KiB; what is there is charged.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use klamm::kafka::hostile::{self, Count, Decoded, Sample, Style, Width};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts what the thread holds.
struct Counting;

impl Counting {
    fn add(bytes: isize) {
        let held = HELD.get() + bytes;
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::add(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs `work` and says by how much the heap of this thread grew at most.
fn growth<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// Decodes a frame; the copy that it is decoded from is not counted.
fn decode(frame: &[u8]) -> (Result<Decoded, String>, usize) {
    let frame = frame.to_vec();
    growth(|| hostile::decode(frame))
}

fn every_api_and_version() -> impl Iterator<Item = (i16, i16)> {
    hostile::apis().flat_map(|(key, versions)| versions.map(move |version| (key, version)))
}

fn sample(key: i16, version: i16, style: Style, seed: u64) -> Sample {
    hostile::frame(key, version, style, seed).unwrap()
}

/// The frame with another value in the place of a count.
fn with(sample: &Sample, count: &Count, value: &[u8]) -> Vec<u8> {
    let mut frame = sample.body[..count.at].to_vec();
    frame.extend_from_slice(value);
    frame.extend_from_slice(&sample.body[count.at + count.len..]);
    frame
}

/// Values that no frame of this length can keep.
fn lies(sample: &Sample, count: &Count) -> Vec<Vec<u8>> {
    // Any negative length of what may be null says that it is.
    let negative = |bytes: &Vec<u8>| bytes.first().is_some_and(|byte| *byte >= 0x80);
    let fixed = matches!(count.width, Width::Short | Width::Int);
    let mut lies = all_lies(sample, count);
    lies.retain(|lie| !(fixed && count.nullable && negative(lie)));
    lies
}

fn all_lies(sample: &Sample, count: &Count) -> Vec<Vec<u8>> {
    let rest = sample.body.len() - count.at - count.len;
    let more = u32::try_from(rest + 1).unwrap();
    match count.width {
        Width::Short => [i16::MAX, i16::MIN, -2, i16::try_from(more).unwrap()]
            .map(|lie| lie.to_be_bytes().to_vec())
            .to_vec(),
        Width::Int => [
            i32::MAX,
            i32::MAX - 1,
            i32::MIN,
            -2,
            i32::try_from(more).unwrap(),
        ]
        .map(|lie| lie.to_be_bytes().to_vec())
        .to_vec(),
        // A compact length is one more than it says, and may not be 0 where null is not allowed.
        Width::Compact => [1 << 31, u32::MAX, more + 1].map(hostile::varint).to_vec(),
        Width::Varint => [1 << 31, i32::MAX as u32, u32::MAX, more]
            .map(hostile::varint)
            .to_vec(),
    }
}

#[test]
fn a_lying_count_is_refused_and_costs_nothing() {
    let mut tried = 0;
    for (key, version) in every_api_and_version() {
        for elements in [1, 2] {
            let sample = sample(key, version, Style::Full(elements), 1);
            assert!(decode(&sample.body).0.is_ok(), "api {key} v{version}");
            for count in &sample.counts {
                for lie in lies(&sample, count) {
                    let frame = with(&sample, count, &lie);
                    let (result, grown) = decode(&frame);
                    let case = format!("api {key} v{version} {count:?} = {lie:x?}: {result:?}");
                    assert!(result.is_err(), "{case}");
                    assert!(
                        grown <= 4 * frame.len() + 64 * 1024,
                        "{case}: {grown} bytes"
                    );
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} lies");
    assert!(tried > 1000, "{tried}");
}

#[test]
fn a_count_that_is_a_little_wrong_costs_no_more_than_was_charged() {
    for (key, version) in every_api_and_version() {
        let sample = sample(key, version, Style::Full(2), 2);
        for count in &sample.counts {
            for wrong in 0..=16u8 {
                let value = match count.width {
                    Width::Short => vec![0, wrong],
                    Width::Int => vec![0, 0, 0, wrong],
                    Width::Compact | Width::Varint => vec![wrong],
                };
                let frame = with(&sample, count, &value);
                let (result, grown) = decode(&frame);
                let charged = result.as_ref().map_or(0, |decoded| decoded.charged);
                let allowed = 4 * frame.len() + 64 * 1024 + charged;
                assert!(
                    grown <= allowed,
                    "api {key} v{version} {count:?} = {wrong}: {grown}"
                );
            }
        }
    }
}

#[test]
fn what_is_there_is_charged_before_it_is_decoded() {
    for (key, version) in every_api_and_version() {
        for elements in [1, 3, 40] {
            let sample = sample(key, version, Style::Full(elements), 3);
            let (result, grown) = decode(&sample.body);
            let charged = result.unwrap().charged;
            // A frame that is shared for the first time costs its counter.
            assert!(
                grown <= charged + 1024,
                "api {key} v{version} with {elements}: {grown} bytes where {charged} were charged"
            );
        }
    }
}

#[test]
fn the_walk_and_the_codec_consume_the_same_bytes() {
    for (key, version) in every_api_and_version() {
        for seed in 0..200 {
            let sample = sample(key, version, Style::Random, seed);
            let decoded = decode(&sample.body).0;
            let decoded = decoded.unwrap_or_else(|error| panic!("api {key} v{version}: {error}"));
            assert_eq!(
                decoded.consumed,
                sample.body.len(),
                "api {key} v{version}, seed {seed}"
            );
            assert_eq!(
                decoded.consumed_by_codec, decoded.consumed,
                "api {key} v{version}"
            );
        }
    }
}

#[test]
fn bytes_after_a_request_are_ignored_as_in_kafka() {
    for (key, version) in every_api_and_version() {
        let mut sample = sample(key, version, Style::Random, 4);
        let length = sample.body.len();
        sample.body.extend([1, 2, 3]);
        assert_eq!(
            decode(&sample.body).0.unwrap().consumed,
            length,
            "api {key} v{version}"
        );
    }
}

#[test]
fn a_request_that_is_cut_short_is_refused_at_every_length() {
    for (key, version) in every_api_and_version() {
        let sample = sample(key, version, Style::Full(1), 5);
        for length in 0..sample.body.len() {
            let (result, grown) = decode(&sample.body[..length]);
            assert!(result.is_err(), "api {key} v{version} cut at {length}");
            assert!(
                grown <= 4 * length + 64 * 1024,
                "api {key} v{version} cut at {length}"
            );
        }
    }
}

#[test]
fn unknown_tagged_fields_are_charged_however_many_and_in_whatever_order() {
    for count in [1u32, 2, 12, 100, 10_000] {
        for shuffle in [false, true] {
            let mut tags: Vec<u32> = (0..count).collect();
            if shuffle {
                fastrand::Rng::with_seed(6).shuffle(&mut tags);
            }
            // ApiVersions v3: header, two strings, then the tagged fields, each of no bytes.
            let mut frame = b"\0\x12\0\x03\0\0\0\x07\xff\xff\0\x02a\x02b".to_vec();
            frame.extend(hostile::varint(count));
            for tag in tags {
                frame.extend(hostile::varint(tag));
                frame.push(0);
            }
            let (result, grown) = decode(&frame);
            let charged = result.unwrap().charged;
            assert!(
                grown <= charged + 1024,
                "{count} fields: {grown} bytes of {charged}"
            );
        }
    }
}
