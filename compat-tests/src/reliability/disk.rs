//! An ext4 of its own in a file, whose power can be cut.
//!
//! EXT4's shutdown ioctl stops the file system where it stands: what was not yet written to the
//! device never is, as if the machine had lost power. It needs root, a loop device and Python, which
//! makes the call, so that nothing here is unsafe.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::{Figure, Options};

/// How power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The file system's journal is not written out first: what no sync asked for is lost.
    Now,
    /// The journal is written out first, data is not: with `data=writeback,nodelalloc` a file has
    /// its new length, and zeros or old bytes for its end.
    AfterJournal,
}

/// Opens the directory, says so, waits for a line, and shuts its file system down.
const SHUTDOWN: &str = "\
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
if sys.stdin.readline():
    fcntl.ioctl(fd, 0x8004587d, struct.pack('I', int(sys.argv[2])))
    print('done', flush=True)
";

/// A mounted file system. Dropping it takes it down and removes the image, unless it is kept.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    options: String,
    mounted: bool,
    kept: bool,
}

impl Disk {
    /// Makes an ext4 of so many MiB in `directory` and mounts it with these options (`""` for
    /// none).
    ///
    /// # Errors
    /// Why it cannot be had here, such as no root: reason enough to skip a figure.
    pub fn new(directory: &Path, name: &str, mib: u64, options: &str) -> Result<Self, String> {
        let image = directory.join(format!("{name}.ext4"));
        let mount = directory.join(name);
        std::fs::create_dir_all(&mount).map_err(|error| error.to_string())?;
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(mib << 20))
            .map_err(|error| format!("{}: {error}", image.display()))?;
        let image_name = image.to_string_lossy().into_owned();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image_name])?;
        let mut disk = Self {
            image,
            mount,
            options: options.to_owned(),
            mounted: false,
            kept: false,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Mounts with other options from the next [`Disk::mount`] on.
    pub fn set_options(&mut self, options: &str) {
        options.clone_into(&mut self.options);
    }

    /// Mounts it, which replays the file system's journal after a cut.
    ///
    /// # Errors
    /// As `mount` says.
    pub fn mount(&mut self) -> Result<(), String> {
        let options = match self.options.as_str() {
            "" => "loop".to_owned(),
            more => format!("loop,{more}"),
        };
        let (image, mount) = (self.image.to_string_lossy(), self.mount.to_string_lossy());
        run("mount", &["-t", "ext4", "-o", &options, &image, &mount])?;
        self.mounted = true;
        Ok(())
    }

    /// Unmounts it. Nobody may have a file of it open; a process that was just killed is waited
    /// for a while.
    ///
    /// # Errors
    /// As `umount` says.
    pub fn unmount(&mut self) -> Result<(), String> {
        let mount = self.mount.to_string_lossy().into_owned();
        for _ in 0..100 {
            if run("umount", &[&mount]).is_ok() {
                self.mounted = false;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        run("umount", &[&mount])?;
        self.mounted = false;
        Ok(())
    }

    /// Gets ready to cut the power without delay.
    ///
    /// # Errors
    /// If there is no Python.
    pub fn fuse(&self, cut: Cut) -> Result<Fuse, String> {
        let flag = match cut {
            Cut::Now => "2",
            Cut::AfterJournal => "1",
        };
        let mut process = Command::new("python3")
            .args(["-S", "-c", SHUTDOWN])
            .arg(&self.mount)
            .arg(flag)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3: {error}"))?;
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let trigger = process.stdin.take();
        let mut fuse = Fuse {
            process,
            trigger,
            answers,
        };
        fuse.hear("ready")?;
        Ok(fuse)
    }

    /// Leaves the image behind when this is dropped, and says where it is.
    pub fn keep(&mut self) -> &Path {
        self.kept = true;
        &self.image
    }
}

/// Measures a figure on a disk of its own: skipped where none can be had, and the image is kept
/// when the figure fails.
pub(super) fn on_disk(
    options: &Options,
    mib: u64,
    measure: impl FnOnce(&mut Disk, &mut Figure) -> Result<(), String>,
) -> Figure {
    let mut disk = match Disk::new(&options.scratch, "disk", mib, "") {
        Ok(disk) => disk,
        Err(reason) => return Figure::skipped(reason),
    };
    let mut figure = Figure::new();
    if let Err(reason) = measure(&mut disk, &mut figure) {
        figure.fail(reason);
    }
    if figure.failed() {
        eprintln!("kept {}", disk.keep().display());
    }
    figure
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // Somebody still has a file open: out of the way now, gone when they are.
            let _ = run("umount", &["-l", &self.mount.to_string_lossy()]);
        }
        if !self.kept && !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.image);
        }
        let _ = std::fs::remove_dir(&self.mount);
    }
}

/// A process that will cut the power at a word. It keeps the file system busy until it is blown or
/// dropped.
#[derive(Debug)]
pub struct Fuse {
    process: Child,
    trigger: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
}

impl Fuse {
    /// Cuts the power; it is cut when this returns.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn blow(mut self) -> Result<(), String> {
        let mut trigger = self.trigger.take().ok_or("no trigger")?;
        trigger
            .write_all(b"now\n")
            .map_err(|error| error.to_string())?;
        self.hear("done")
    }

    fn hear(&mut self, word: &str) -> Result<(), String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(_) if line.trim() == word => Ok(()),
            heard => Err(format!("no {word:?} from the fuse, but {heard:?} {line:?}")),
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // A closed pipe ends it; it is waited for, since it holds the directory open.
        drop(self.trigger.take());
        let _ = self.process.wait();
    }
}

/// Runs a program; what it says is the error.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} {}: {}",
        arguments.join(" "),
        said.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_takes_what_was_not_synced_and_nothing_else() {
        let directory = crate::server::scratch().join("disk-test");
        std::fs::create_dir_all(&directory).expect("a directory");
        let mut disk = match Disk::new(&directory, "disk", 32, "") {
            Ok(disk) => disk,
            Err(reason) => return crate::server::skip("power cuts", &reason),
        };
        let synced = disk.path().join("synced");
        std::fs::write(&synced, "kept").expect("a small file");
        let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
        sync(&synced).expect("it syncs");
        sync(disk.path()).expect("it syncs");
        let unsynced = disk.path().join("unsynced");
        std::fs::write(&unsynced, "lost").expect("a small file");
        disk.fuse(Cut::Now)
            .and_then(Fuse::blow)
            .expect("the power is cut");
        assert!(std::fs::write(disk.path().join("late"), "x").is_err());
        disk.unmount().expect("it unmounts");
        disk.mount().expect("it mounts");
        assert_eq!(std::fs::read(&synced).expect("it is there"), b"kept");
        assert!(!unsynced.exists());
    }
}
