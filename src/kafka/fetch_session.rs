//! Incremental fetch sessions (KIP-227).

/// All fetch sessions of one broker: any connection may go on with any of them.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
}

impl FetchSessions {
    /// A cache with room for `slots` sessions (`max.incremental.fetch.session.cache.slots`);
    /// `seed` is for the ids.
    pub(crate) fn new(slots: usize, _seed: u64) -> Self {
        Self { slots }
    }
}
