//! The broker dies in the midst of rebalances and commits: what was committed is there afterwards,
//! and the members come back.
//!
//! Two groups, one of each protocol, never rest ([`restless`](super::restless)): members leave, lose
//! their connections, and are gone without a word, so that some brokers load groups that wait for
//! somebody who never comes. The broker is killed, every other time together with its power, amid a
//! rebalance of the one, then of the other, then while members are still coming back. The next one
//! has to know every commit that was acknowledged, and nothing that was never sent; all members must
//! be settled again within the session timeout and a second; a partition has one owner in each
//! generation, under all brokers. A control run in `os` mode has to lose commits, or the test could
//! not fail.

use std::sync::Arc;
use std::time::Duration;

use super::super::beacon::Beacon;
use super::super::client::Client;
use super::super::disk::{Cut, Disk, on_disk};
use super::super::figure::Figure;
use super::super::load::Topic;
use super::super::node::Launch;
use super::super::{Entry, Options};
use super::account::Found;
use super::restless::{self, Cast, Protocol, Restless};
use super::returns::Returns;

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "group-kills",
    about: "kills and power cuts amid rebalances: commits lost, none; members back in time",
    run,
};

const PARTITIONS: u8 = 12;
const DISK_MIB: u64 = 256;

/// Cuts of the control run until something is lost.
const CONTROL_CUTS_MAX: u32 = 5;

fn casts() -> [Cast; 2] {
    let groups = [
        ("classic", Protocol::Classic),
        ("consumer", Protocol::Consumer),
    ];
    groups.map(|(group, protocol)| Cast {
        group,
        protocol,
        topic: "t".to_owned(),
        partitions: PARTITIONS,
        members: 5,
        pause: Duration::from_millis(1),
        vanishing: true,
    })
}

fn run(options: &Options) -> Figure {
    let mut figure = on_disk(options, DISK_MIB, |disk, figure| {
        kill_often(options, disk, figure)
    });
    if figure.failed() || figure.is_skipped() {
        return figure;
    }
    match control(options) {
        Ok(lost) => {
            figure.set("lost_by_control", lost);
            if lost == 0 {
                figure.fail("the control run in os mode lost nothing: the test cannot fail");
            }
        }
        Err(reason) => figure.fail(format!("the control run: {reason}")),
    }
    figure
}

fn launch(options: &Options, disk: &Disk, durability: &str) -> Launch {
    let log = options.scratch.join(format!("{durability}.log"));
    let launch = Launch::new(&options.klamm, &disk.path().join("data"), &log);
    restless::settings(launch).set("klamm.durability", durability)
}

fn topic(client: &mut Client) -> Result<(), String> {
    let topic = Topic {
        name: "t".to_owned(),
        partitions: i32::from(PARTITIONS),
        configs: Vec::new(),
    };
    topic.create(client)
}

fn kill_often(options: &Options, disk: &mut Disk, figure: &mut Figure) -> Result<(), String> {
    let kills = if options.quick { 6 } else { 60 };
    let launch = launch(options, disk, "fsync");
    let beacon = Arc::<Beacon>::default();
    let mut groups = Restless::start(&casts(), &beacon, options.seed);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let (mut found, mut returns) = (Found::default(), Returns::default());
    let mut amid_rebalances = 0;
    for kill in 0..=kills {
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        match kill {
            0 => topic(&mut client)?,
            _ => found.add(groups.look(&mut client)?),
        }
        beacon.broker_at(node.address());
        let comes_back = kill % 3 < 2 || kill == kills;
        if comes_back {
            returns.wait(&groups);
        }
        if kill == kills {
            break;
        }
        let fuse = match kill % 2 {
            0 => None,
            _ => Some(disk.fuse(Cut::Now)?),
        };
        if comes_back {
            std::thread::sleep(Duration::from_millis(random.u64(20..900)));
            groups.wait_for_rebalance(kill % 3);
        } else {
            std::thread::sleep(Duration::from_micros(random.u64(..20_000)));
        }
        amid_rebalances += groups.rebalancing();
        let with_power = fuse.is_some();
        beacon.broker_gone();
        if let Some(fuse) = fuse {
            fuse.blow()?;
        }
        node.kill();
        if with_power {
            disk.unmount()?;
            disk.mount()?;
        }
    }
    groups.end();
    figure.set("kills", kills);
    figure.at_least("amid_rebalances", amid_rebalances as f64, 1.0);
    groups.tell(figure, found);
    returns.tell(figure);
    match groups.failures().first() {
        Some(failure) => Err(failure.clone()),
        None => Ok(()),
    }
}

/// A power cut where nothing is promised but the page cache: partitions that lost commits.
fn control(options: &Options) -> Result<u64, String> {
    for number in 0..CONTROL_CUTS_MAX {
        let mut disk = Disk::new(&options.scratch, "control", DISK_MIB, "")?;
        let launch = launch(options, &disk, "os");
        let beacon = Arc::<Beacon>::default();
        let mut groups = Restless::start(&casts(), &beacon, options.seed);
        let node = launch.start()?;
        topic(&mut node.client().map_err(|error| error.to_string())?)?;
        beacon.broker_at(node.address());
        let fuse = disk.fuse(Cut::Now)?;
        Returns::default().wait(&groups);
        std::thread::sleep(Duration::from_millis(100 + 100 * u64::from(number)));
        beacon.broker_gone();
        fuse.blow()?;
        node.kill();
        groups.end();
        disk.unmount()?;
        disk.mount()?;
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        let found = groups.look(&mut client)?;
        if found.lost > 0 {
            return Ok(found.lost);
        }
    }
    Ok(0)
}
