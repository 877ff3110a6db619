//! A file of lines that carry their number, and the check that a topic gives the same lines back.
//!
//! A line is made from its number alone, so that a reader can tell every wrong byte without the file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Makes line `number`, without its line feed: the number in seven digits, a space, and from 50 to
/// 399 letters.
#[must_use]
pub fn line(number: usize) -> String {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut line = format!("{number:07} ");
    let length = line.len() + 50 + (next() % 350) as usize;
    while line.len() < length {
        // Half of it repeats, so that codecs have something to do.
        let word = next();
        for letter in 0..5 {
            line.push(char::from(b'a' + (word >> (letter * 5)) as u8 % 26));
        }
        line.push_str(" and ");
    }
    line.truncate(length);
    line
}

/// Writes `count` lines.
///
/// # Errors
/// As the file system does.
pub fn write(path: &Path, count: usize) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for number in 0..count {
        writeln!(out, "{}", line(number))?;
    }
    out.flush()
}

/// Counts what comes out of a topic.
#[derive(Debug)]
pub struct Tally {
    seen: Vec<bool>,
    last: Vec<Option<usize>>,
    wrong: Vec<String>,
}

impl Tally {
    /// For `count` lines over so many partitions.
    #[must_use]
    pub fn new(count: usize, partitions: usize) -> Self {
        Self {
            seen: vec![false; count],
            last: vec![None; partitions],
            wrong: Vec::new(),
        }
    }

    /// Notes a line as it comes from a partition.
    pub fn note(&mut self, partition: usize, text: &[u8]) {
        let number = text
            .get(..7)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<usize>().ok());
        let number = match number {
            Some(number) if number < self.seen.len() && line(number).as_bytes() == text => number,
            _ => {
                let text = String::from_utf8_lossy(text).into_owned();
                return self
                    .wrong
                    .push(format!("not a line that was sent: {text:?}"));
            }
        };
        if std::mem::replace(&mut self.seen[number], true) {
            self.wrong.push(format!("line {number} came twice"));
        }
        if self.last[partition].is_some_and(|last| last >= number) {
            self.wrong.push(format!(
                "line {number} is out of order in partition {partition}"
            ));
        }
        self.last[partition] = Some(number);
    }

    /// Panics unless every line came once, in order within its partition, and from every partition.
    ///
    /// # Panics
    /// With the first things that are wrong.
    pub fn check(&self, what: &str) {
        let missing = self.seen.iter().filter(|seen| !**seen).count();
        let first: Vec<_> = self.wrong.iter().take(5).collect();
        assert!(
            missing == 0 && self.wrong.is_empty(),
            "{what}: {missing} lines are missing, {} are wrong: {first:?}",
            self.wrong.len()
        );
        let empty = self.last.iter().filter(|last| last.is_none()).count();
        assert!(empty == 0, "{what}: {empty} partitions are empty");
    }
}

/// How many lines: `COMPAT_LINES`, or a number that is quick.
#[must_use]
pub fn count() -> usize {
    std::env::var("COMPAT_LINES").map_or(20_000, |text| text.parse().expect("COMPAT_LINES"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_lines_are_200_megabytes() {
        let sample: usize = (0..10_000).map(|number| line(number * 97).len() + 1).sum();
        assert!(sample * 100 >= 200_000_000, "{sample}");
    }

    #[test]
    fn a_lost_a_doubled_and_a_changed_line_are_noticed() {
        let mut tally = Tally::new(3, 1);
        tally.note(0, line(0).as_bytes());
        tally.note(0, line(2).as_bytes());
        assert!(std::panic::catch_unwind(|| tally.check("lost")).is_err());
        tally.note(0, line(1).as_bytes());
        assert_eq!(tally.wrong.len(), 1);
        tally.note(0, line(1).as_bytes());
        tally.note(0, b"0000001 something else");
        assert_eq!(tally.wrong.len(), 4);
    }
}
