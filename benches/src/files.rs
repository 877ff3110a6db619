//! Files of partitions.

use std::fs::File;
use std::io;
use std::path::Path;

/// Empty files `0.log` to the last, durable with their names.
pub(crate) fn create(directory: &Path, count: usize) -> io::Result<Vec<File>> {
    std::fs::create_dir_all(directory)?;
    let open = |number| {
        let path = directory.join(format!("{number}.log"));
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
    };
    let files = (0..count).map(open).collect::<io::Result<Vec<_>>>()?;
    rustix::fs::syncfs(File::open(directory)?)?;
    Ok(files)
}
