//! What happens next is drawn by chance.

use super::cast::{GROUPS, MIXED};
use super::classic::{Plan, Who};
use super::clients::Phase;
use super::consumer::Beat;
use super::run::{Run, who_is};

impl Run {
    /// One step.
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.counts.steps += 1;
        match self.random.u32(..1000) {
            0..560 => self.act_by_chance()?,
            560..640 => self.speak_for_another()?,
            640..780 => {
                let ms = self.random.u64(1..800);
                self.pass(ms)?;
            }
            780..800 => {
                let ms = self.random.u64(1_000..8_000);
                self.pass(ms)?;
            }
            800..803 => {
                let ms = self.random.u64(3_600_000..30 * 3_600_000);
                self.pass(ms)?;
            }
            803..890 => self.make_durable(),
            890..905 => {
                let (all, _) = self.bed.batches();
                let compacted = self.random.bool();
                self.restart(all, compacted)?;
            }
            905..920 => {
                let (all, durable) = self.bed.batches();
                let kept = self.random.usize(durable..=all);
                self.counts.power_cuts += usize::from(kept < all);
                self.restart(kept, false)?;
            }
            920..935 => self.change_topics()?,
            935..950 => {
                let group = self.group();
                self.delete_offsets(group)?;
            }
            950..960 => {
                let group = self.group();
                self.delete_group(group)?;
            }
            960..980 => {
                let group = self.group();
                let who = Who {
                    id: String::new(),
                    instance: None,
                    generation: -1,
                };
                self.commit(group, who)?;
            }
            980..984 => {
                let group = self.group();
                self.intrude(group)?;
            }
            984..992 => self.is_flood = !self.is_flood,
            _ => self.check_replay()?,
        }
        if self.random.u8(..10) < 6 {
            self.make_durable();
        }
        self.deliver()
    }

    fn group(&mut self) -> &'static str {
        GROUPS[self.random.usize(..GROUPS.len())]
    }

    fn make_durable(&mut self) {
        let (all, durable) = self.bed.batches();
        let up_to = match self.random.u8(..4) {
            0 => self.random.usize(durable..=all),
            _ => all,
        };
        self.bed.sync(up_to);
    }

    fn change_topics(&mut self) -> Result<(), String> {
        let name = if self.random.bool() { "a" } else { "b" };
        let topic = self.bed.known.topics.get(name).copied();
        let Some(topic) = topic else {
            let partitions = self.random.i32(1..5);
            self.bed.create(name, partitions);
            return Ok(());
        };
        if self.random.bool() {
            self.bed.create(name, topic.partitions + 1);
            return Ok(());
        }
        for what in self.bed.delete(name, true) {
            self.happened(None, what)?;
        }
        self.offsets.check_topic_gone(topic)
    }

    fn act_by_chance(&mut self) -> Result<(), String> {
        let client = self
            .random
            .usize(..self.classics.len() + self.consumers.len());
        let chance = self.random.u32(..100);
        match client.checked_sub(self.classics.len()) {
            None => self.act_as_classic(client, chance),
            Some(client) => self.act_as_consumer(client, chance),
        }
    }

    /// A client does what is next; by chance, something else.
    pub(super) fn act_as_classic(&mut self, client: usize, chance: u32) -> Result<(), String> {
        let of = self.classics[client].clone();
        match (of.phase, chance) {
            (Phase::Off, _) => {
                self.classics[client].start();
                self.join(client)
            }
            (Phase::Out, _) => self.join(client),
            (Phase::Joining(_) | Phase::Syncing(_), 0..8) => {
                self.classics[client].disconnect();
                Ok(())
            }
            (Phase::Joining(_) | Phase::Syncing(_), _) => Ok(()),
            (Phase::Joined, 0..4) | (Phase::In, 0..4) => {
                self.classics[client].phase = Phase::Off;
                Ok(())
            }
            (Phase::Joined, _) => self.sync_client(client),
            (Phase::In, 4..8) => {
                self.classics[client].phase = Phase::Out;
                Ok(())
            }
            (Phase::In, 8..11) => {
                self.classics[client].phase = Phase::Off;
                self.leave(&of.group, of.id, of.instance)
            }
            (Phase::In, 11..30) => self.commit(&of.group, who_is(&of)),
            (Phase::In, _) => self.heartbeat(&of.group, Some(client), who_is(&of)),
        }
    }

    pub(super) fn act_as_consumer(&mut self, client: usize, chance: u32) -> Result<(), String> {
        let of = self.consumers[client].clone();
        let ebbs = of.group == MIXED && !self.is_flood;
        match (of.is_on, of.waits, chance) {
            (false, ..) if ebbs => Ok(()),
            (true, None, 0..10) if ebbs => {
                self.consumers[client].is_on = false;
                Ok(())
            }
            (false, ..) => {
                let id = format!("member-{}", self.bed.waiter());
                self.consumers[client].start(id);
                self.beat_as(client)
            }
            (true, Some(_), 0..10) => {
                self.consumers[client].disconnect();
                Ok(())
            }
            (true, Some(_), _) => Ok(()),
            (true, None, 0..3) => {
                self.consumers[client].is_on = false;
                Ok(())
            }
            (true, None, _) if of.epoch > 0 && (ebbs || (3..7).contains(&chance)) => {
                self.consumers[client].is_on = false;
                let epoch = match of.instance.is_some() && self.random.bool() {
                    true => -2,
                    false => -1,
                };
                let beat = Beat {
                    id: of.id,
                    epoch,
                    instance: of.instance,
                    ..Beat::default()
                };
                self.beat(&of.group, None, beat)
            }
            (true, None, 7..11) => {
                let topics = match self.random.u8(..3) {
                    0 => vec!["a".to_owned()],
                    1 => vec!["b".to_owned()],
                    _ => vec!["a".to_owned(), "b".to_owned()],
                };
                self.consumers[client].topics = topics;
                self.consumers[client].says_all = true;
                self.beat_as(client)
            }
            (true, None, 11..30) if of.epoch > 0 => {
                let who = Who {
                    id: of.id,
                    instance: of.instance,
                    generation: of.epoch,
                };
                self.commit(&of.group, who)
            }
            (true, None, 30..60) => {
                self.consumers[client].revoke();
                self.beat_as(client)
            }
            (true, None, _) => self.beat_as(client),
        }
    }

    fn beat_as(&mut self, client: usize) -> Result<(), String> {
        let beat = self.consumers[client].beat();
        let group = self.consumers[client].group.clone();
        self.beat(&group, Some(client), beat)
    }

    /// Somebody says what somebody else could say, now or once.
    fn speak_for_another(&mut self) -> Result<(), String> {
        if self.past.is_empty() {
            return Ok(());
        }
        let recent = self.past.len().saturating_sub(40);
        let (group, mut who) = self.past[self.random.usize(recent..self.past.len())].clone();
        if self.random.u8(..4) == 0 {
            who.generation += self.random.i32(-1..2);
        }
        if self.random.u8(..8) == 0 {
            who.instance = Some("one".to_owned());
        }
        let of_consumers = group.starts_with("consumer") || (group == MIXED && self.random.bool());
        match self.random.u8(..5) {
            4 => self.fetch(&group, &who),
            0 if of_consumers => {
                // The answer may tell somebody else what the member would have to know.
                let mut clients = self.consumers.iter_mut();
                if let Some(client) = clients.find(|client| client.id == who.id) {
                    client.says_all = true;
                }
                let beat = Beat {
                    id: who.id,
                    epoch: who.generation.max(1),
                    instance: who.instance,
                    ..Beat::default()
                };
                self.beat(&group, None, beat)
            }
            0 => self.sync_as(&group, None, who, Plan::new()).map(drop),
            1 if group.starts_with("consumer") => Ok(()),
            1 => self.heartbeat(&group, None, who),
            _ => self.commit(&group, who),
        }
    }
}
