//! One row of the table of settings.

use super::check::Check;
use super::key::Typed;

/// What a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A topic.
    Topic,
    /// The broker.
    Broker,
    /// A group.
    Group,
    /// A client-metrics subscription.
    ClientMetrics,
}

/// Kafka's type of a setting (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A double.
    Double,
    /// Texts separated by commas.
    List,
    /// Name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The name that Kafka prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// Marker for the type of a [`super::Key`] whose values are names of Java classes.
#[derive(Clone, Copy, Debug)]
pub enum Class {}

/// Whether a running broker takes a new value (`DynamicBrokerConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only at the start.
    ReadOnly,
    /// For one broker only.
    PerBroker,
    /// For one broker or for all of them.
    ClusterWide,
}

/// A default that is not Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs {
    /// Kafka's default, as text.
    pub kafka: &'static str,
    /// Why ours is another.
    pub reason: &'static str,
}

/// Why a setting is accepted and has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inert {
    /// It will never have one here.
    ByDesign(&'static str),
    /// What it governs is not there yet.
    NotYet(&'static str),
}

impl Inert {
    /// The reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ByDesign(reason) | Self::NotYet(reason) => reason,
        }
    }
}

/// A setting: what it is called, what it may hold, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What it belongs to.
    pub scope: Scope,
    /// The dotted name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it may be unset.
    pub nullable: bool,
    /// The default as text; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What values are legal beyond the type.
    pub check: Check,
    /// Whether it may change while the broker runs.
    pub update: Update,
    /// For a topic or group: the broker settings that give its default, first wins.
    pub synonyms: &'static [&'static str],
    /// What it does.
    pub doc: &'static str,
    /// Set where the default is not Kafka's.
    pub differs: Option<Differs>,
    /// Set where it has no effect.
    pub inert: Option<Inert>,
}

impl Setting {
    pub(super) const fn new(
        scope: Scope,
        name: &'static str,
        default: Option<&'static str>,
    ) -> Self {
        Self {
            scope,
            name,
            kind: Kind::String,
            nullable: false,
            default,
            check: Check::Any,
            update: Update::ReadOnly,
            synonyms: &[],
            doc: "",
            differs: None,
            inert: None,
        }
    }

    pub(super) const fn typed<T: Typed>(mut self, doc: &'static str) -> Self {
        self.kind = T::KIND;
        self.nullable = T::NULLABLE;
        self.doc = doc.trim_ascii();
        self
    }

    pub(super) const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    pub(super) const fn per_broker(mut self) -> Self {
        self.update = Update::PerBroker;
        self
    }

    pub(super) const fn dynamic(mut self) -> Self {
        self.update = Update::ClusterWide;
        self
    }

    pub(super) const fn synonyms(mut self, synonyms: &'static [&'static str]) -> Self {
        self.synonyms = synonyms;
        self
    }

    pub(super) const fn differs(mut self, kafka: &'static str, reason: &'static str) -> Self {
        self.differs = Some(Differs { kafka, reason });
        self
    }

    pub(super) const fn inert(mut self, inert: Inert) -> Self {
        self.inert = Some(inert);
        self
    }

    /// Whether its value is never shown.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// Whether a running broker or topic takes a new value.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.scope, Scope::Broker) && matches!(self.update, Update::ReadOnly)
    }
}
