//! What a round of syncs costs, by how it is done: `cargo run --release -p klamm-benches --bin sync-calls DIR`.
//!
//! In DIR, for 1, 16, 256 and 1,000 files: each gets 1 KiB more, then all are made durable, by
//! `fdatasync` from 1 to 16 threads or by one `syncfs`; the files grow, or were filled with zeros
//! before. The ways take turns, so that what else happens on the disk happens to all of them.
//! Prints milliseconds, median and 90th percentile. The choice that they led to, with figures, is
//! in `src/storage/durability/commit.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use klamm::io::{File, Io, OpenMode, RealIo};

const BYTES: usize = 1024;

/// For each number of files, growing or not.
const BUDGET: Duration = Duration::from_secs(3);

/// Zeros written in advance: of one file, and of all.
const ZEROS_MAX: usize = 4 << 20;
const ALL_ZEROS_MAX: usize = 512 << 20;

/// 0 threads: `syncfs`.
const WAYS: [usize; 6] = [1, 2, 4, 8, 16, 0];

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1);
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    for count in [1, 16, 256, 1_000] {
        for zeroed in [false, true] {
            let scratch = directory.join(format!("klamm-sync-calls-{}", std::process::id()));
            let measured = measure(&scratch, count, zeroed);
            RealIo.remove_dir_all(&scratch)?;
            measured?;
        }
    }
    Ok(())
}

fn measure(directory: &Path, count: usize, zeroed: bool) -> std::io::Result<()> {
    RealIo.create_dir_all(directory)?;
    let open = |number| RealIo.open(&directory.join(format!("{number}")), OpenMode::Create);
    let files: Vec<Arc<dyn File>> = (0..count).map(open).collect::<Result<_, _>>()?;
    let zeros = vec![0; ZEROS_MAX.min(ALL_ZEROS_MAX / count)];
    if zeroed {
        files
            .iter()
            .try_for_each(|file| file.write_all_at(&[&zeros], 0))?;
    }
    let file_system = RealIo
        .file_system(directory)
        .ok_or(std::io::ErrorKind::Unsupported)?;
    file_system.sync()?;
    let mut times = WAYS.map(|_| Vec::new());
    let (begin, mut position) = (Instant::now(), 0);
    while begin.elapsed() < BUDGET {
        for (threads, times) in WAYS.into_iter().zip(&mut times) {
            if threads > count {
                continue;
            }
            if zeroed && position + BYTES > zeros.len() {
                position = 0;
            }
            files
                .iter()
                .try_for_each(|file| file.write_all_at(&[&[7; BYTES]], position as u64))?;
            position += BYTES;
            let start = Instant::now();
            match threads {
                0 => file_system.sync()?,
                _ => sync_each(&files, threads),
            }
            times.push(start.elapsed());
        }
    }
    let kind = if zeroed { "zeroed" } else { "growing" };
    for (threads, times) in WAYS.into_iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100);
        if let (Some(median), Some(high)) = (at(50), at(90)) {
            let way = match threads {
                0 => "syncfs".to_owned(),
                threads => format!("fdatasync x{threads}"),
            };
            let ms = |time: &Duration| time.as_secs_f64() * 1e3;
            let (median, high) = (ms(median), ms(high));
            println!("{count:5} {kind:7} {way:13} {median:9.2} {high:9.2}");
        }
    }
    Ok(())
}

fn sync_each(files: &[Arc<dyn File>], threads: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = file.sync_data() {
                        eprintln!("{error}");
                    }
                }
            });
        }
    });
}
