//! How much memory this process may use.
//!
//! | where | what |
//! | --- | --- |
//! | `/sys/fs/cgroup/<group>/memory.max` | the limit of its control group, version 2 |
//! | `/sys/fs/cgroup/memory/<group>/memory.limit_in_bytes` | the same, version 1 |
//! | `/proc/meminfo`, `MemTotal` | the machine's memory |
//!
//! The groups above its own bound it, too. Within a container the path of the group that
//! `/proc/self/cgroup` names is often that of the host, and what is mounted is the group itself:
//! groups that are not there are passed over, up to the root.

use std::fs;
use std::path::Path;

/// The smallest of the limits, in bytes; `None` where the system tells nothing.
pub fn memory_limit() -> Option<u64> {
    limit_below(Path::new("/"))
}

fn limit_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let memory = controllers.split(',').any(|name| name == "memory");
        match (memory, controllers.is_empty()) {
            (true, _) => limit_of_group(
                &root.join("sys/fs/cgroup/memory"),
                group,
                "memory.limit_in_bytes",
            ),
            (false, true) => limit_of_group(&root.join("sys/fs/cgroup"), group, "memory.max"),
            (false, false) => None,
        }
    });
    limits.chain(total(root)).min()
}

/// The smallest limit of a group and of those above it.
fn limit_of_group(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    group
        .ancestors()
        .filter_map(|ancestor| {
            let content = fs::read_to_string(mount.join(ancestor).join(file)).ok()?;
            // `max` is none; version 1 has a number that no machine reaches.
            content.trim().parse().ok()
        })
        .min()
}

/// The machine's memory.
fn total(root: &Path) -> Option<u64> {
    let content = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = content
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tests::ScratchDirectory;

    /// The limit on a machine with these files.
    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = ScratchDirectory::new();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        limit_below(root.path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:        2000 kB\nMemFree: 1 kB\n");

    #[test]
    fn without_a_limit_it_is_the_machines_memory() {
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[MACHINE]), Some(2_048_000));
        let unlimited = [
            MACHINE,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ];
        assert_eq!(limit(&unlimited), Some(2_048_000));
    }

    #[test]
    fn groups_of_version_2_bound_it_and_those_above_do() {
        let files = [
            MACHINE,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1048576\n"),
        ];
        assert_eq!(limit(&files), Some(1_048_576));
    }

    #[test]
    fn groups_of_version_1_bound_it_also_where_their_path_is_the_hosts() {
        let files = [
            MACHINE,
            (
                "proc/self/cgroup",
                "3:cpu,cpuacct:/x\n2:memory:/docker/abc\n0::/x\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n"),
        ];
        assert_eq!(limit(&files), Some(4_096));
        let none = [
            MACHINE,
            ("proc/self/cgroup", "2:memory:/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        assert_eq!(limit(&none), Some(2_048_000));
    }
}
