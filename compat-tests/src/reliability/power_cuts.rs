//! Power cuts under load: what was acknowledged with `acks=all` is there, once, in its order, at
//! the offset that was answered. Members of groups commit and rebalance beside the producers: every
//! acknowledged commit is there, and all members are back soon.
//!
//! One log lives through all cuts. After each the new tail of every partition is read, before the
//! producers go on where they were; at the end everything is read. Every third cut lets the file
//! system write its journal first, on a mount that orders nothing (`data=writeback,nodelalloc`):
//! files have their new lengths then, and zeros for their ends. A control run in `os` mode has to
//! lose records and commits, or the test could not fail.

use std::time::Duration;

use super::audit::Auditor;
use super::disk::{Cut, Disk, on_disk};
use super::figure::Figure;
use super::groups::returns::Returns;
use super::load::{Load, Plan};
use super::{Entry, Options, workload};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "power-cuts",
    about: "acknowledged records lost, duplicated or reordered, commits lost by power cuts: none",
    run,
};

/// How much is done.
struct Size {
    cuts: u32,
    acknowledged_min: u64,
    records_max: u32,
    /// Between the load's start and a cut.
    cut_after_ms: std::ops::Range<u64>,
    disk_mib: u64,
    control_cuts_max: u32,
}

const FULL: Size = Size {
    cuts: 100,
    acknowledged_min: 1_000_000,
    records_max: 60,
    cut_after_ms: 300..2_000,
    disk_mib: 1024,
    control_cuts_max: 10,
};

const QUICK: Size = Size {
    cuts: 12,
    acknowledged_min: 2_000,
    records_max: 24,
    cut_after_ms: 200..900,
    disk_mib: 512,
    control_cuts_max: 5,
};

/// Members of each of the two groups.
const MEMBERS: usize = 3;

/// Options of the mount whose journal is written out at the cut.
const UNORDERED: &str = "data=writeback,nodelalloc";

fn run(options: &Options) -> Figure {
    let size = if options.quick { QUICK } else { FULL };
    let mut figure = on_disk(options, size.disk_mib, |disk, figure| {
        cut_often(options, &size, disk, figure)
    });
    if figure.failed() || figure.is_skipped() {
        return figure;
    }
    match control(options, &size) {
        Ok(lost) => {
            figure.set("lost_by_control", lost.records);
            figure.set("commits_lost_by_control", lost.commits);
            if lost.records == 0 || lost.commits == 0 {
                figure.fail("the control run in os mode lost nothing: the test cannot fail");
            }
        }
        Err(reason) => figure.fail(format!("the control run: {reason}")),
    }
    figure
}

/// What the control run lost.
#[derive(Debug, Default)]
struct Lost {
    records: u64,
    /// Partitions whose committed offset is below one that was acknowledged.
    commits: u64,
}

/// The load of both runs.
fn plan(options: &Options, size: &Size) -> Plan {
    Plan {
        topics: workload::topics(),
        promised: 4,
        unpromised: 2,
        records_max: size.records_max,
        housekeeping: true,
        members: MEMBERS,
        seed: options.seed,
    }
}

fn cut_often(
    options: &Options,
    size: &Size,
    disk: &mut Disk,
    figure: &mut Figure,
) -> Result<(), String> {
    let launch = workload::launch(options, disk, "broker.log");
    let mut random = fastrand::Rng::with_seed(options.seed);
    let plan = plan(options, size);
    let mut load: Option<Load> = None;
    let mut auditor = Auditor::default();
    let (mut restart_max, mut returns) = (Duration::ZERO, Returns::default());
    let mut cuts = 0;
    while cuts < size.cuts || acknowledged(load.as_ref()) < size.acknowledged_min {
        let kind = if cuts % 3 == 2 {
            Cut::AfterJournal
        } else {
            Cut::Now
        };
        let mount_options = if kind == Cut::AfterJournal {
            UNORDERED
        } else {
            ""
        };
        disk.set_options(mount_options);
        disk.unmount()?;
        disk.mount()?;

        let node = launch.start()?;
        restart_max = restart_max.max(node.ready_in());
        let mut client = node.client().map_err(|error| error.to_string())?;
        let running: &Load = match load.as_mut() {
            None => {
                workload::create_all(&plan, &mut client)?;
                load.insert(Load::start(&plan))
            }
            Some(load) => {
                auditor.look(&mut client, load)?;
                load
            }
        };
        if !auditor.is_clean() {
            break;
        }
        running.broker_at(node.address());
        let fuse = disk.fuse(kind)?;
        std::thread::sleep(Duration::from_millis(random.u64(size.cut_after_ms.clone())));
        returns.note(running.groups());
        running.broker_gone();
        fuse.blow()?;
        node.kill();
        cuts += 1;
        if cuts % 10 == 0 {
            let acknowledged = running.acknowledged();
            eprintln!("{cuts} cuts, {acknowledged} records acknowledged");
        }
    }
    let mut load = load.ok_or("no cut at all")?;
    load.stop();
    disk.unmount()?;
    disk.mount()?;
    auditor.finish(&launch, &load)?;
    figure.set("cuts", cuts);
    figure.set("restart_ms_max", restart_max.as_millis() as u64);
    auditor.tell(figure, &load);
    returns.tell(figure);
    if figure.failed() {
        workload::keep_account(options, &load);
    }
    Ok(())
}

fn acknowledged(load: Option<&Load>) -> u64 {
    load.map_or(0, Load::acknowledged)
}

/// The same cuts where nothing is promised but the page cache, until both records and commits were
/// lost.
fn control(options: &Options, size: &Size) -> Result<Lost, String> {
    let mut lost = Lost::default();
    for number in 0..size.control_cuts_max {
        let mut disk = Disk::new(&options.scratch, "control", 256, "")?;
        let launch =
            workload::launch(options, &disk, "control.log").arguments(&["--durability", "os"]);
        let plan = Plan {
            housekeeping: false,
            ..plan(options, size)
        };
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        workload::create_all(&plan, &mut client)?;
        let mut load = Load::start(&plan);
        load.broker_at(node.address());
        let fuse = disk.fuse(Cut::Now)?;
        std::thread::sleep(Duration::from_millis(400 + 100 * u64::from(number)));
        load.broker_gone();
        fuse.blow()?;
        node.kill();
        load.stop();
        disk.unmount()?;
        disk.mount()?;
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        let mut auditor = Auditor::default();
        auditor
            .look_at_everything(&mut client, &load.ledger())
            .map_err(|error| error.to_string())?;
        lost.records += auditor.verdict.lost;
        lost.commits += auditor.look_at_commits(&mut client, &load)?;
        if lost.records > 0 && lost.commits > 0 {
            break;
        }
    }
    Ok(lost)
}
