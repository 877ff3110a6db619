//! Typed names of settings.

use std::marker::PhantomData;

use super::setting::{Class, Kind, Scope};
use super::table::TABLE;
use super::value::{Secret, Value};

/// A Rust type that a setting may have.
pub trait Typed {
    /// Kafka's type.
    const KIND: Kind;
    /// Whether the setting may be unset.
    const NULLABLE: bool = false;
    /// What reading gives: numbers by value, text by reference.
    type Out<'a>;
    /// Reads a value of this type.
    fn read<'a>(value: Option<&'a Value>) -> Self::Out<'a>;
}

macro_rules! typed {
    ($lifetime:lifetime: $($type:ty => $kind:ident, $out:ty, $pattern:pat => $read:expr;)*) => {$(
        impl Typed for $type {
            const KIND: Kind = Kind::$kind;
            type Out<$lifetime> = $out;
            fn read<$lifetime>(value: Option<&$lifetime Value>) -> $out {
                match value {
                    Some($pattern) => $read,
                    _ => unreachable!("keys have the type of their row, and values that of theirs"),
                }
            }
        }
    )*};
}

typed! { 'a:
    bool => Boolean, bool, Value::Boolean(value) => *value;
    i16 => Short, i16, Value::Short(value) => *value;
    i32 => Int, i32, Value::Int(value) => *value;
    i64 => Long, i64, Value::Long(value) => *value;
    f64 => Double, f64, Value::Double(value) => *value;
    String => String, &'a str, Value::Text(value) => value;
    Class => Class, &'a str, Value::Text(value) => value;
    Vec<String> => List, &'a [String], Value::List(value) => value;
    Secret => Password, &'a Secret, Value::Secret(value) => value;
}

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
    type Out<'a> = Option<T::Out<'a>>;
    fn read<'a>(value: Option<&'a Value>) -> Option<T::Out<'a>> {
        value.map(|value| T::read(Some(value)))
    }
}

/// A setting whose values have type `T`.
#[derive(Debug)]
pub struct Key<T> {
    row: u16,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T: Typed> Key<T> {
    /// The key of a row; what does not stand in the table with this type does not compile.
    #[expect(
        clippy::panic,
        clippy::indexing_slicing,
        reason = "evaluated by the compiler only"
    )]
    pub(super) const fn of(scope: Scope, name: &str) -> Self {
        let mut row = 0;
        while row < TABLE.len() {
            let setting = &TABLE[row];
            if setting.scope as u8 == scope as u8 && same(setting.name, name) {
                assert!(setting.kind as u8 == T::KIND as u8 && setting.nullable == T::NULLABLE);
                return Self {
                    row: row as u16,
                    of: PhantomData,
                };
            }
            row += 1;
        }
        panic!("no such row");
    }
}

impl<T> Key<T> {
    /// The number of the row in the table.
    pub(super) const fn row(self) -> usize {
        self.row as usize
    }

    /// The dotted name.
    pub fn name(self) -> &'static str {
        TABLE.get(self.row()).map_or("", |setting| setting.name)
    }
}

/// `==` of texts, for the compiler.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}
