//! Whom a producer waits for.

/// Which copies must have a batch before it is answered: Kafka's `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// None, and there is no answer.
    None,
    /// The leader's.
    Leader,
    /// All in-sync ones, as durable as the topic is.
    All,
}

impl Acks {
    /// Its number in requests.
    pub const fn get(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}
