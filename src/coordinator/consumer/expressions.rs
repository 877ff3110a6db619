//! What the regular expressions of a group match, kept up to date.
//!
//! A new expression is looked up at once. The others are looked up again when topics have changed,
//! all together, but not more often than every ten seconds: a broker may have many topics, and a
//! group many expressions.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::group::{ConsumerGroup, Resolved};
use super::member::Member;
use super::pattern::Pattern;
use super::request::Refusal;
use crate::coordinator::Failure;
use crate::coordinator::turn::Turn;
use crate::wire::groups::GroupRecord;

/// Least time between two looks (`GroupMetadataManager.REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// What the expressions match, and whether that, or who subscribes by them, has changed.
pub(super) struct Refreshed<'a> {
    /// As it was, so that it can be read along with them.
    pub(super) group: &'a ConsumerGroup,
    pub(super) expressions: Cow<'a, BTreeMap<String, Resolved>>,
    pub(super) changed: bool,
}

impl ConsumerGroup {
    /// Looks up what has to be looked up when `before` becomes `after`.
    pub(super) fn refresh_expressions(
        &mut self,
        before: &Member,
        after: &Member,
        turn: &Turn<'_>,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Refreshed<'_>, Refusal> {
        let looks_again = self.may_refresh(turn);
        if looks_again {
            self.seen_by_expressions = Some((turn.topics.version(), turn.now));
        }
        let group = &*self;
        let mut refreshed = Refreshed {
            group,
            expressions: Cow::Borrowed(&group.expressions),
            changed: before.expression() != after.expression(),
        };
        if refreshed.changed {
            let others = |expression: &str| {
                let mut others = group.members.values().filter(|each| each.id != after.id);
                others.any(|each| each.expression() == Some(expression))
            };
            if let Some(old) = before.expression().filter(|old| !others(old)) {
                refreshed.expressions.to_mut().remove(old);
                records.push(group.expression_record(old, None));
            }
            if let Some(new) = after.expression()
                && !group.expressions.contains_key(new)
            {
                let resolved = resolve(new, turn)?;
                records.push(group.expression_record(new, Some(&resolved)));
                refreshed
                    .expressions
                    .to_mut()
                    .insert(new.to_owned(), resolved);
            }
        }
        if looks_again {
            let stale = refreshed.expressions.clone().into_owned();
            for (expression, before) in stale {
                // One that a record holds and that is no longer understood matches what it did.
                let Ok(resolved) = resolve(&expression, turn) else {
                    continue;
                };
                if resolved.topics != before.topics {
                    records.push(group.expression_record(&expression, Some(&resolved)));
                    refreshed.expressions.to_mut().insert(expression, resolved);
                    refreshed.changed = true;
                }
            }
        }
        Ok(refreshed)
    }

    /// Whether it is time to look all expressions up again.
    fn may_refresh(&self, turn: &Turn<'_>) -> bool {
        let version = turn.topics.version();
        let (seen, rested) = match self.seen_by_expressions {
            Some((seen, at)) => (Some(seen), turn.now >= at + REFRESH_INTERVAL),
            None => (
                self.expressions.values().map(|each| each.version).min(),
                true,
            ),
        };
        !self.expressions.is_empty() && seen != Some(version) && rested
    }

    /// The expressions that nobody subscribes by, if these are all members.
    pub(super) fn unused_expressions<'a>(
        &self,
        members: impl Iterator<Item = &'a Member>,
    ) -> Vec<String> {
        let used: BTreeSet<&str> = members.filter_map(Member::expression).collect();
        let unused = self
            .expressions
            .keys()
            .filter(|each| !used.contains(each.as_str()));
        unused.cloned().collect()
    }
}

/// Looks up which topics an expression matches.
fn resolve(expression: &str, turn: &Turn<'_>) -> Result<Resolved, Refusal> {
    let pattern = Pattern::new(expression)
        .map_err(|invalid| Refusal::new(Failure::InvalidRegularExpression, invalid.to_string()))?;
    let mut topics = BTreeSet::new();
    turn.topics.for_each(&mut |name| {
        if pattern.matches(name) {
            topics.insert(name.to_owned());
        }
    });
    Ok(Resolved {
        topics,
        version: turn.topics.version(),
        at: turn.wall,
    })
}
