//! Giving out ids to idempotent producers.
//!
//! *Invariant:* an id is given out once in the life of a data directory. Ids come in blocks
//! (`ProducerIdsBlock`): a block is taken by one record of the metadata log, and none of its ids
//! leaves this broker before that record is durable. What is left of a block at a stop is lost.

use std::ops::Range;

use parking_lot::Mutex;

use super::Broker;
use crate::catalog::{Change, CommitError};
use crate::model::{Offset, ProducerId};

/// Ids in a block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK: i64 = 1000;

/// The block in use.
#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<Block>,
}

#[derive(Clone, Debug, Default)]
struct Block {
    free: Range<i64>,
    /// The ids may be used once the metadata log is durable up to here.
    durable_at: Offset,
}

impl Broker {
    /// An id that no producer has had before.
    pub async fn new_producer_id(&self) -> Result<ProducerId, CommitError> {
        let (id, durable_at) = self.take_producer_id()?;
        self.catalog.durable(durable_at).await?;
        Ok(id)
    }

    fn take_producer_id(&self) -> Result<(ProducerId, Offset), CommitError> {
        let mut block = self.producer_ids.block.lock();
        if block.free.is_empty() {
            let (image, first) = self.catalog.commit(|image| {
                let first = image.next_producer_id().0;
                let next = ProducerId(first.saturating_add(BLOCK));
                Ok::<_, CommitError>((vec![Change::ProducerIds { next }], first))
            })?;
            block.free = first..image.next_producer_id().0;
            block.durable_at = image.next_offset();
        }
        let id = block.free.start;
        block.free.start += 1;
        Ok((ProducerId(id), block.durable_at))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::testing::{broker, broker_on};
    use crate::io::MemoryIo;
    use crate::storage::Durability;

    #[tokio::test]
    async fn ids_follow_one_another_over_the_end_of_a_block() {
        let broker = broker(&[]);
        for expected in 0..2 * BLOCK + 1 {
            assert_eq!(
                broker.new_producer_id().await.unwrap(),
                ProducerId(expected)
            );
        }
        assert_eq!(
            broker.catalog.image().next_producer_id(),
            ProducerId(3 * BLOCK)
        );
    }

    #[tokio::test]
    async fn a_broker_that_starts_again_begins_a_new_block() {
        let io = MemoryIo::shared();
        let broker = broker_on(Arc::clone(&io), Durability::Fsync, &[]);
        assert_eq!(broker.new_producer_id().await.unwrap(), ProducerId(0));
        broker.close().unwrap();
        drop(broker);
        let broker = broker_on(io, Durability::Fsync, &[]);
        assert_eq!(broker.new_producer_id().await.unwrap(), ProducerId(BLOCK));
    }
}
