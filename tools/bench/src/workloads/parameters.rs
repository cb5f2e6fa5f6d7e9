//! The parameters of a workload, as its rows spell them.

use crate::random::Random;

/// The parameters of one run, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters(Vec<(String, u64)>);

impl Parameters {
    /// Reads words of the form `name=number`.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let parse_word = |word: &str| {
            let parsed = word.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
            parsed.ok_or_else(|| format!("`{word}` is no parameter; `name=number` would be one"))
        };
        words.into_iter().map(parse_word).collect::<Result<_, _>>().map(Self)
    }

    /// The parameter `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| *value)
    }

    /// The parameter `name`. Rows name all parameters of their workload, so one that is missing is a mistake of the
    /// caller, which ends the worker with the parameter's name.
    pub fn get(&self, name: &str) -> u64 {
        self.find(name).unwrap_or_else(|| panic!("the parameter `{name}` is missing"))
    }

    /// The parameter `name` as a count or a size.
    pub fn size(&self, name: &str) -> usize {
        self.get(name) as usize
    }

    /// The sizes between the parameters `low` and `high`, in bytes.
    pub fn sizes(&self) -> Sizes {
        Sizes { low: self.size("low"), high: self.size("high") }
    }

    /// The same parameters with `steps`, the length of the run, multiplied by `factor`.
    pub fn scaled(mut self, factor: f64) -> Self {
        for (name, value) in &mut self.0 {
            if name == "steps" {
                *value = (*value as f64 * factor).max(1.0) as u64;
            }
        }
        self
    }

    /// The words from which [`Parameters::parse`] makes the same parameters.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, value)| format!("{name}={value}"))
    }
}

/// The sizes that blocks may have, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The smallest.
    pub low: usize,
    /// The largest.
    pub high: usize,
}

impl Sizes {
    /// One of them, each as likely as the next.
    #[inline(always)]
    pub fn draw(self, random: &mut Random) -> usize {
        random.between(self.low, self.high)
    }

    /// One of them, each doubling as likely as the next.
    #[inline]
    pub fn draw_scaled(self, random: &mut Random) -> usize {
        random.scaled_between(self.low, self.high)
    }
}
