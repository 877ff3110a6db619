//! What must hold of a row, and whether it does.

use crate::figure::Figure;

/// What one figure of one side must keep to.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) figure: Figure,
    pub(crate) side: &'static str,
    pub(crate) bound: Bound,
    pub(crate) given: Option<Given>,
}

/// Where the limit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Most(f64),
    Least(f64),
    /// So many times that of another side.
    MostTimes(f64, &'static str),
    LeastTimes(f64, &'static str),
    /// So much more than that of another side.
    MostOver(f64, &'static str),
}

/// What the floor's figure must not be above for the gate to mean anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) side: &'static str,
    pub(crate) at_most: f64,
}

/// A gate in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of(Figure, &'static str);

impl Figure {
    /// A gate on this figure of that side.
    pub(crate) fn on(self, side: &'static str) -> Of {
        Of(self, side)
    }
}

impl Of {
    pub(crate) fn at_most(self, limit: f64) -> Gate {
        self.gate(Bound::Most(limit))
    }

    pub(crate) fn at_least(self, limit: f64) -> Gate {
        self.gate(Bound::Least(limit))
    }

    pub(crate) fn at_most_times(self, times: f64, side: &'static str) -> Gate {
        self.gate(Bound::MostTimes(times, side))
    }

    pub(crate) fn at_least_times(self, times: f64, side: &'static str) -> Gate {
        self.gate(Bound::LeastTimes(times, side))
    }

    pub(crate) fn at_most_over(self, more: f64, side: &'static str) -> Gate {
        self.gate(Bound::MostOver(more, side))
    }

    fn gate(self, bound: Bound) -> Gate {
        Gate {
            figure: self.0,
            side: self.1,
            bound,
            given: None,
        }
    }
}

impl Gate {
    /// Only judged while the same figure of that side is not above `at_most`.
    pub(crate) fn given(mut self, side: &'static str, at_most: f64) -> Self {
        self.given = Some(Given { side, at_most });
        self
    }
}

/// The middle of some numbers, and how far they went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            min,
            max,
        })
    }

    /// How many times the least the most is.
    pub(crate) fn moved(self) -> f64 {
        match self.min > 0.0 {
            true => self.max / self.min,
            false => f64::INFINITY,
        }
    }
}

/// What a gate came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The number that is held against the limit; a ratio or a difference is that of each round.
    pub(crate) value: Option<Spread>,
    pub(crate) outcome: Outcome,
}

/// Whether it holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Holds,
    Missed,
    /// It says nothing, and why.
    NotJudged(String),
}

impl Gate {
    /// Judges by the values of each side in each round.
    pub(crate) fn judge(&self, values: impl Fn(&str) -> Vec<f64>) -> Verdict {
        let own = values(self.side);
        let against = |other: &str, join: fn(f64, f64) -> f64| -> Vec<f64> {
            let other = values(other);
            own.iter().zip(&other).map(|(a, b)| join(*a, *b)).collect()
        };
        let (held, limit, most) = match self.bound {
            Bound::Most(limit) => (own.clone(), limit, true),
            Bound::Least(limit) => (own.clone(), limit, false),
            Bound::MostTimes(limit, side) => (against(side, |a, b| a / b), limit, true),
            Bound::LeastTimes(limit, side) => (against(side, |a, b| a / b), limit, false),
            Bound::MostOver(limit, side) => (against(side, |a, b| a - b), limit, true),
        };
        let Some(value) = Spread::of(&held) else {
            let outcome = match self.bound.other() {
                Some(other) if !own.is_empty() => {
                    Outcome::NotJudged(format!("{other} was not measured"))
                }
                // A figure that nothing gives is a fault of the row.
                _ => Outcome::Missed,
            };
            return Verdict {
                value: None,
                outcome,
            };
        };
        let holds = match most {
            true => value.median <= limit,
            false => value.median >= limit,
        };
        let outcome = match (self.unmet(&values), holds) {
            (_, true) => Outcome::Holds,
            (None, false) => Outcome::Missed,
            (Some(why), false) => Outcome::NotJudged(why),
        };
        Verdict {
            value: Some(value),
            outcome,
        }
    }

    /// Why the gate means nothing on this machine now.
    fn unmet(&self, values: impl Fn(&str) -> Vec<f64>) -> Option<String> {
        let Given { side, at_most } = self.given?;
        let median = Spread::of(&values(side))?.median;
        let why = || format!("{side} itself is at {median:.0}, above {at_most:.0}");
        (median > at_most).then(why)
    }
}

impl Bound {
    pub(crate) fn other(self) -> Option<&'static str> {
        match self {
            Self::Most(_) | Self::Least(_) => None,
            Self::MostTimes(_, other) | Self::LeastTimes(_, other) | Self::MostOver(_, other) => {
                Some(other)
            }
        }
    }

    /// As a person says it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Most(limit) => format!("at most {limit}"),
            Self::Least(limit) => format!("at least {limit}"),
            Self::MostTimes(limit, other) => format!("at most {limit:.2}x {other}"),
            Self::LeastTimes(limit, other) => format!("at least {limit:.2}x {other}"),
            Self::MostOver(limit, other) => format!("at most {limit} over {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of a floor and of Klamm.
    fn values(side: &str) -> Vec<f64> {
        match side {
            "floor" => vec![1.0, 2.0, 4.0],
            "klamm" => vec![1.5, 2.8, 6.4],
            _ => Vec::new(),
        }
    }

    fn judge(gate: &Gate) -> Outcome {
        gate.judge(values).outcome
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let of = |values: &[f64]| Spread::of(values).map(|spread| spread.median);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn ratios_are_those_of_rounds_and_not_of_medians() {
        let gate = Figure::CpuPerGb.on("klamm").at_most_times(1.5, "floor");
        let verdict = gate.judge(values);
        // 1.5, 1.4, 1.6
        assert_eq!(verdict.value.map(|spread| spread.median), Some(1.5));
        assert_eq!(verdict.outcome, Outcome::Holds);
        let closer = Figure::CpuPerGb.on("klamm").at_most_times(1.49, "floor");
        assert_eq!(judge(&closer), Outcome::Missed);
    }

    #[test]
    fn every_bound_holds_at_its_limit_and_not_beyond() {
        let klamm = Figure::CpuPerGb.on("klamm");
        for (gate, holds) in [
            (klamm.at_most(2.8), true),
            (klamm.at_most(2.7), false),
            (klamm.at_least(2.8), true),
            (klamm.at_least(2.9), false),
            (klamm.at_least_times(1.5, "floor"), true),
            (klamm.at_least_times(1.6, "floor"), false),
            (klamm.at_most_over(0.9, "floor"), true),
            (klamm.at_most_over(0.7, "floor"), false),
        ] {
            assert_eq!(judge(&gate) == Outcome::Holds, holds, "{gate:?}");
        }
    }

    #[test]
    fn what_has_nothing_to_be_held_against_is_not_judged_and_what_is_not_there_is_missed() {
        let gate = Figure::CpuPerGb.on("klamm").at_most_times(0.3, "kafka");
        let why = "kafka was not measured".to_owned();
        assert_eq!(judge(&gate), Outcome::NotJudged(why));
        let nothing = Figure::CpuPerGb.on("nobody").at_most(1.0);
        assert_eq!(judge(&nothing), Outcome::Missed);
    }

    #[test]
    fn a_miss_on_a_machine_where_the_floor_is_slow_is_none() {
        let gate = Figure::AckP99.on("klamm").at_most(1.0);
        assert_eq!(judge(&gate.clone().given("floor", 2.0)), Outcome::Missed);
        let excused = judge(&gate.given("floor", 1.9));
        assert!(matches!(excused, Outcome::NotJudged(_)), "{excused:?}");
        let well = Figure::AckP99.on("klamm").at_most(3.0).given("floor", 1.9);
        assert_eq!(judge(&well), Outcome::Holds);
    }

    #[test]
    fn a_spread_tells_how_far_it_moved() {
        let spread = Spread::of(&[2.0, 3.0]);
        assert_eq!(spread.map(Spread::moved), Some(1.5));
    }
}
