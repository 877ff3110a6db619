//! Bodies and headers from JSON values to bytes and back, by the layouts of [`crate::schema`].
//!
//! Strings, numbers, booleans, arrays and objects are JSON's own; a UUID is 32 hexadecimal digits,
//! records are hexadecimal bytes. A field that a value leaves out, or gives as null where null is
//! not allowed, takes its default; a name that the layout does not have is a mistake and panics.

use serde_json::{Map, Value, json};

use crate::hex;
use crate::schema::{Field, Kind, Message};

/// Correlation id, then what the version of the request asks for.
#[must_use]
pub fn request_frame(message: &Message, version: i16, correlation: i32, body: &Value) -> Vec<u8> {
    let mut out = header(message.key, version, correlation);
    if message.flexible.contain(version) {
        out.push(0);
    }
    encode(message, version, body, &mut out);
    out
}

/// A request header without its tag section: key, version, correlation id and a client id.
#[must_use]
pub fn header(key: i16, version: i16, correlation: i32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(key.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(correlation.to_be_bytes());
    out.extend(6i16.to_be_bytes());
    out.extend(b"differ");
    out
}

/// Appends a body.
pub fn encode(message: &Message, version: i16, body: &Value, out: &mut Vec<u8>) {
    let empty = json!({});
    let body = if body.is_null() { &empty } else { body };
    encode_struct(
        &message.fields,
        version,
        message.flexible.contain(version),
        body,
        out,
    );
}

/// Where a body could not be read.
pub type Undecodable = String;

/// A response body behind its header; every byte has to be used.
///
/// # Errors
/// If the bytes do not fit the layout.
pub fn decode_response(
    message: &Message,
    version: i16,
    frame: &[u8],
) -> Result<Value, Undecodable> {
    let mut input = Input {
        bytes: frame,
        at: 0,
    };
    input.take(4)?;
    let flexible = message.flexible.contain(version);
    // ApiVersions always answers with the first header, so that any client can read it.
    if flexible && message.key != 18 {
        input.unknown_tags()?;
    }
    finish(message, version, input)
}

/// A request body behind its header, with the client id it came with.
///
/// # Errors
/// If the bytes do not fit the layout.
pub fn decode_request(message: &Message, version: i16, frame: &[u8]) -> Result<Value, Undecodable> {
    let mut input = Input {
        bytes: frame,
        at: 8,
    };
    let length = i16::from_be_bytes(input.array()?);
    if let Ok(length) = usize::try_from(length) {
        input.take(length)?;
    }
    if message.flexible.contain(version) {
        input.unknown_tags()?;
    }
    finish(message, version, input)
}

fn finish(message: &Message, version: i16, mut input: Input<'_>) -> Result<Value, Undecodable> {
    let flexible = message.flexible.contain(version);
    let value = decode_struct(&message.fields, version, flexible, &mut input)?;
    match input.bytes.len() - input.at {
        0 => Ok(value),
        left => Err(format!("{left} bytes are left behind the body")),
    }
}

fn tagged(field: &Field, version: i16) -> Option<u32> {
    field
        .tag
        .filter(|(_, versions)| versions.contain(version))
        .map(|(tag, _)| tag)
}

fn default(field: &Field, version: i16) -> Value {
    if field.array {
        return match (&field.default, field.nullable.contain(version)) {
            (Some(text), true) if text == "null" => Value::Null,
            _ => json!([]),
        };
    }
    if field.default.as_deref() == Some("null") {
        return Value::Null;
    }
    let text = field.default.as_deref();
    match field.kind {
        Kind::Bool => json!(text == Some("true")),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => {
            json!(text.map_or(0i64, |text| text.parse().expect("a number")))
        }
        Kind::String => json!(text.unwrap_or("")),
        Kind::Uuid => json!("0".repeat(32)),
        Kind::Records => Value::Null,
        Kind::Bytes => json!(""),
        Kind::Struct => field
            .fields
            .iter()
            .map(|field| (field.name.clone(), default(field, version)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn encode_struct(fields: &[Field], version: i16, flexible: bool, value: &Value, out: &mut Vec<u8>) {
    let value = value
        .as_object()
        .unwrap_or_else(|| panic!("an object, not {value}"));
    for name in value.keys() {
        assert!(
            fields.iter().any(|field| field.name == *name),
            "no field {name}"
        );
    }
    let mut tags = Vec::new();
    for field in fields
        .iter()
        .filter(|field| field.versions.contain(version))
    {
        let given = value.get(&field.name);
        if let Some(tag) = tagged(field, version) {
            if let Some(given) = given {
                let mut bytes = Vec::new();
                encode_field(field, version, flexible, given, &mut bytes);
                tags.push((tag, bytes));
            }
            continue;
        }
        let nullable = field.nullable.contain(version);
        match given {
            Some(given) if !given.is_null() || nullable => {
                encode_field(field, version, flexible, given, out);
            }
            _ => encode_field(field, version, flexible, &default(field, version), out),
        }
    }
    if flexible {
        tags.sort();
        unsigned(tags.len(), out);
        for (tag, bytes) in tags {
            unsigned(tag as usize, out);
            unsigned(bytes.len(), out);
            out.extend(bytes);
        }
    }
}

fn encode_field(field: &Field, version: i16, flexible: bool, value: &Value, out: &mut Vec<u8>) {
    if field.array {
        let Some(elements) = value.as_array() else {
            return length(None, flexible, 4, out);
        };
        length(Some(elements.len()), flexible, 4, out);
        for element in elements {
            encode_one(field, version, flexible, element, out);
        }
    } else if field.kind == Kind::Struct && field.nullable.contain(version) {
        if value.is_null() {
            return out.push(0xff);
        }
        out.push(1);
        encode_one(field, version, flexible, value, out);
    } else {
        encode_one(field, version, flexible, value, out);
    }
}

fn encode_one(field: &Field, version: i16, flexible: bool, value: &Value, out: &mut Vec<u8>) {
    let number = || {
        value
            .as_i64()
            .unwrap_or_else(|| panic!("{}: {value}", field.name))
    };
    match field.kind {
        Kind::Bool => out.push(u8::from(value.as_bool().expect("a boolean"))),
        Kind::I8 => out.extend(i8::try_from(number()).expect("i8").to_be_bytes()),
        Kind::I16 => out.extend(i16::try_from(number()).expect("i16").to_be_bytes()),
        Kind::I32 => out.extend(i32::try_from(number()).expect("i32").to_be_bytes()),
        Kind::I64 => out.extend(number().to_be_bytes()),
        Kind::Uuid => out.extend(hex::decode(value.as_str().expect("a UUID"))),
        Kind::String => match value.as_str() {
            None => length(None, flexible, 2, out),
            Some(text) => {
                length(Some(text.len()), flexible, 2, out);
                out.extend(text.as_bytes());
            }
        },
        Kind::Records | Kind::Bytes => match value.as_str() {
            None => length(None, flexible, 4, out),
            Some(text) => {
                let bytes = hex::decode(text);
                length(Some(bytes.len()), flexible, 4, out);
                out.extend(bytes);
            }
        },
        Kind::Struct => encode_struct(&field.fields, version, flexible, value, out),
    }
}

fn length(length: Option<usize>, flexible: bool, width: usize, out: &mut Vec<u8>) {
    if flexible {
        unsigned(length.map_or(0, |length| length + 1), out);
    } else {
        let length = length.map_or(-1, |length| i32::try_from(length).expect("a length"));
        out.extend(&length.to_be_bytes()[4 - width..]);
    }
}

/// Appends an unsigned varint.
pub fn unsigned(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let end = self.at.saturating_add(length);
        let taken = self.bytes.get(self.at..end).ok_or_else(|| {
            format!(
                "{length} bytes are asked for at {} of {}",
                self.at,
                self.bytes.len()
            )
        })?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        Ok(self.take(N)?.try_into().expect("as long as asked"))
    }

    fn unsigned(&mut self) -> Result<usize, Undecodable> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(format!("a varint of more than five bytes at {}", self.at))
    }

    fn length(&mut self, flexible: bool, width: usize) -> Result<Option<usize>, Undecodable> {
        if flexible {
            return Ok(self.unsigned()?.checked_sub(1));
        }
        let length = if width == 2 {
            i32::from(i16::from_be_bytes(self.array()?))
        } else {
            i32::from_be_bytes(self.array()?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| format!("length {length}")),
        }
    }

    fn unknown_tags(&mut self) -> Result<usize, Undecodable> {
        let count = self.unsigned()?;
        for _ in 0..count {
            self.unsigned()?;
            let length = self.unsigned()?;
            self.take(length)?;
        }
        Ok(count)
    }
}

fn decode_struct(
    fields: &[Field],
    version: i16,
    flexible: bool,
    input: &mut Input<'_>,
) -> Result<Value, Undecodable> {
    let mut object = Map::new();
    for field in fields
        .iter()
        .filter(|field| field.versions.contain(version))
    {
        let value = if tagged(field, version).is_some() {
            default(field, version)
        } else {
            decode_field(field, version, flexible, input)
                .map_err(|reason| format!("{}: {reason}", field.name))?
        };
        object.insert(field.name.clone(), value);
    }
    if flexible {
        for _ in 0..input.unsigned()? {
            let tag = input.unsigned()?;
            let length = input.unsigned()?;
            let mut inner = Input {
                bytes: input.take(length)?,
                at: 0,
            };
            let field = fields
                .iter()
                .find(|field| tagged(field, version) == u32::try_from(tag).ok())
                .ok_or_else(|| format!("tag {tag} is unknown"))?;
            let value = decode_field(field, version, flexible, &mut inner)?;
            if inner.at != inner.bytes.len() {
                return Err(format!("bytes are left in tag {tag}"));
            }
            object.insert(field.name.clone(), value);
        }
    }
    Ok(object.into())
}

fn decode_field(
    field: &Field,
    version: i16,
    flexible: bool,
    input: &mut Input<'_>,
) -> Result<Value, Undecodable> {
    let nullable = field.nullable.contain(version);
    let null = || {
        if nullable {
            Ok(Value::Null)
        } else {
            Err("null is not allowed".to_owned())
        }
    };
    if field.array {
        let Some(count) = input.length(flexible, 4)? else {
            return null();
        };
        return (0..count)
            .map(|_| decode_one(field, version, flexible, input))
            .collect();
    }
    if field.kind == Kind::Struct && nullable {
        let [present] = input.array()?;
        return if present == 0xff {
            null()
        } else {
            decode_one(field, version, flexible, input)
        };
    }
    match decode_one(field, version, flexible, input)? {
        Value::Null => null(),
        value => Ok(value),
    }
}

fn decode_one(
    field: &Field,
    version: i16,
    flexible: bool,
    input: &mut Input<'_>,
) -> Result<Value, Undecodable> {
    Ok(match field.kind {
        Kind::Bool => json!(input.array::<1>()?[0] != 0),
        Kind::I8 => json!(i8::from_be_bytes(input.array()?)),
        Kind::I16 => json!(i16::from_be_bytes(input.array()?)),
        Kind::I32 => json!(i32::from_be_bytes(input.array()?)),
        Kind::I64 => json!(i64::from_be_bytes(input.array()?)),
        Kind::Uuid => json!(hex::encode(input.take(16)?)),
        Kind::String => match input.length(flexible, 2)? {
            None => Value::Null,
            Some(length) => {
                let text = std::str::from_utf8(input.take(length)?);
                json!(text.map_err(|error| error.to_string())?)
            }
        },
        Kind::Records | Kind::Bytes => match input.length(flexible, 4)? {
            None => Value::Null,
            Some(length) => json!(hex::encode(input.take(length)?)),
        },
        Kind::Struct => decode_struct(&field.fields, version, flexible, input)?,
    })
}
