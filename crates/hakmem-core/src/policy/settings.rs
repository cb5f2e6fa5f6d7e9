//! The one table of settings. The snapshot struct, its defaults, the parser's bounds, `hakmem options` and the
//! documentation all come from the rows below; to add a number, add a row.

/// One tunable number: a row of the table.
pub struct Number {
    /// Name, as in `hakmem run --set name=value` and in the snapshot.
    pub name: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Value when nothing is said.
    pub default: usize,
    /// Smallest value accepted.
    pub min: usize,
    /// Largest value accepted.
    pub max: usize,
    /// What one unit is: `bytes`, `blocks`, `ms`, `%`.
    pub unit: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    write: fn(&mut Snapshot, usize),
    read: fn(&Snapshot) -> usize,
}

impl Number {
    /// This number's value in `snapshot`.
    pub fn get(&self, snapshot: &Snapshot) -> usize {
        (self.read)(snapshot)
    }

    /// Stores `value`, which must lie within the bounds: the table is the only place that knows them.
    pub fn set(&self, snapshot: &mut Snapshot, value: usize) -> Result<(), Problem> {
        if value < self.min || value > self.max {
            return Err(Problem::OutOfBounds);
        }
        (self.write)(snapshot, value);
        Ok(())
    }
}

/// One setting that is not a number.
pub struct Switch {
    /// Name, as in `hakmem options`.
    pub name: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Value when nothing is said.
    pub default: &'static str,
    /// What it accepts, for people: `0 | 1 | json`, `a path`.
    pub accepts: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
}

/// Why a value was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// Not a decimal number with an optional suffix K, M, G (powers of 1024).
    NotANumber,
    /// A number outside the row's bounds.
    OutOfBounds,
}

macro_rules! numbers {
    ($($name:ident = $default:expr, $min:expr => $max:expr, $unit:literal, $env:literal, $doc:literal;)*) => {
        /// Every tunable number at one moment. Immutable once published.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct Snapshot {
            $(#[doc = $doc] pub $name: usize,)*
        }

        impl Snapshot {
            /// The values in force when nothing is said.
            pub const DEFAULT: Snapshot = Snapshot { $($name: $default,)* };
        }

        /// All rows, in the order they are printed.
        pub static NUMBERS: &[Number] = &[$(Number {
            name: stringify!($name), env: $env, default: $default, min: $min, max: $max, unit: $unit, doc: $doc,
            write: |snapshot, value| snapshot.$name = value,
            read: |snapshot| snapshot.$name,
        },)*];

        // Many rows begin at 0, below which no default can be.
        #[allow(unused_comparisons)]
        const _: () = { $(assert!($min <= $default && $default <= $max);)* };
    };
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

numbers! {
    cache_bytes = MIB, 0 => 64 * MIB, "bytes", "HAKMEM_CACHE_BYTES",
        "Free memory of one size class that a thread may keep at hand.";
    cache_blocks = 1024, 1 => 32768, "blocks", "HAKMEM_CACHE_BLOCKS",
        "The same bound as a number of blocks; the smaller of the two counts.";
    cache_total = 64 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_CACHE_TOTAL",
        "What all threads together may keep at hand, in whole spans; and in medium blocks as much again.";
    remote_batch = 64, 1 => 1024, "blocks", "HAKMEM_REMOTE_BATCH",
        "Blocks of another thread that are collected before they are handed over to it in one step.";
    remote_bytes = 32 * KIB, 0 => 4 * MIB, "bytes", "HAKMEM_REMOTE_BYTES",
        "The same bound in bytes; the first one reached counts.";
    decay_ms = 500, 0 => 3_600_000, "ms", "HAKMEM_DECAY_MS",
        "How long free memory stays resident before it goes back to the system; 0 gives it back at once.";
    retain_bytes = 512 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_RETAIN_BYTES",
        "Free resident memory above this goes back at once, without waiting for the decay.";
    scavenge_from = 32 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_SCAVENGE_FROM",
        "A process with this much mapped gets a scavenger, the thread that gives memory back while it idles.";
    huge_from = 128 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_HUGE_FROM",
        "A process that has this much mapped gets huge pages for what it maps from then on; 0 is never.";
    huge_price = 500, 0 => 1_000_000, "us", "HAKMEM_HUGE_PRICE",
        "After a huge page that took this long to touch first, some of what is mapped gets small pages; 0 is any price.";
    populate_bytes = 512 * KIB, 0 => 512 * KIB, "bytes", "HAKMEM_POPULATE_BYTES",
        "Untouched memory for small blocks that is brought in at once in a process that grows; 0 is none, 256K the least.";
    limit_soft = 0, 0 => 1024 * GIB, "bytes", "HAKMEM_LIMIT_SOFT",
        "Above this much memory all that is free goes back, caches are short, and the program is told; 0 is no limit.";
    limit_hard = 0, 0 => 1024 * GIB, "bytes", "HAKMEM_LIMIT_HARD",
        "What would go beyond this much memory is refused; 0 is no limit.";
    limit_system = 90, 0 => 100, "%", "HAKMEM_LIMIT_SYSTEM",
        "The same as at the soft limit happens at this share of the control group's maximum, or at its memory.high; 0 does not look.";
    limit_pressure = 10, 0 => 99, "%", "HAKMEM_LIMIT_PRESSURE",
        "And when more of the time than this is lost to memory pressure, as the kernel counts it; 0 does not look.";
}

/// The settings that are not numbers.
pub static SWITCHES: &[Switch] = &[
    Switch {
        name: "profile",
        env: "HAKMEM_PROFILE",
        default: "default",
        accepts: "default | small | throughput",
        doc: "A named set of the numbers above; single settings still override it.",
    },
    Switch {
        name: "on_misuse",
        env: "HAKMEM_ON_MISUSE",
        default: "report",
        accepts: "report | abort | ignore",
        doc: "What happens when misuse is noticed: one line on standard error, the same and the end by SIGABRT, or nothing.",
    },
    Switch {
        name: "scavenger",
        env: "HAKMEM_SCAVENGER",
        default: "1",
        accepts: "0 | 1",
        doc: "Whether there may be a scavenger; without it memory goes back only while the program allocates and frees.",
    },
    Switch {
        name: "stats",
        env: "HAKMEM_STATS",
        default: "0",
        accepts: "0 | 1 | json",
        doc: "Print statistics when the program exits: 1 as a table, json as one JSON object.",
    },
    Switch {
        name: "stats_file",
        env: "HAKMEM_STATS_FILE",
        default: "",
        accepts: "a path",
        doc: "Append the statistics to this file instead of printing them to standard error; ignored in set-user-id programs.",
    },
];

/// A named set of values.
pub struct Profile {
    /// Name, as in `HAKMEM_PROFILE`.
    pub name: &'static str,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// The numbers it changes, by name.
    pub values: &'static [(&'static str, usize)],
}

/// Every profile.
pub static PROFILES: &[Profile] = &[
    Profile { name: "default", doc: "Fast and small at once.", values: &[] },
    Profile {
        name: "small",
        doc: "Smallest footprint: short caches, memory goes back early.",
        values: &[
            ("cache_bytes", 8 * KIB),
            ("cache_blocks", 64),
            ("cache_total", 8 * MIB),
            ("decay_ms", 50),
            ("retain_bytes", 8 * MIB),
            ("scavenge_from", 8 * MIB),
        ],
    },
    Profile {
        name: "throughput",
        doc: "For a machine of its own: long caches, memory is kept.",
        values: &[
            ("cache_bytes", 4 * MIB),
            ("cache_blocks", 4096),
            ("cache_total", GIB),
            ("decay_ms", 10_000),
            ("retain_bytes", 8 * GIB),
        ],
    },
];

impl Snapshot {
    /// The same with caches, and what is kept of free memory, no longer than the profile `small` has them: in force while
    /// memory is short.
    pub fn with_short_caches(&self) -> Snapshot {
        let mut small = *self;
        apply_profile(&mut small, b"small");
        Snapshot {
            cache_bytes: self.cache_bytes.min(small.cache_bytes),
            cache_blocks: self.cache_blocks.min(small.cache_blocks),
            cache_total: self.cache_total.min(small.cache_total),
            retain_bytes: self.retain_bytes.min(small.retain_bytes),
            ..*self
        }
    }
}

/// Applies the profile called `name`; false if there is none.
pub fn apply_profile(snapshot: &mut Snapshot, name: &[u8]) -> bool {
    let Some(profile) = PROFILES.iter().find(|profile| profile.name.as_bytes() == name) else {
        return false;
    };
    for (name, value) in profile.values {
        for number in NUMBERS.iter().filter(|number| number.name == *name) {
            (number.write)(snapshot, *value);
        }
    }
    true
}

/// Reads a number: decimal digits with an optional suffix K, M or G (powers of 1024, either case).
pub fn parse_number(text: &[u8]) -> Result<usize, Problem> {
    let (digits, shift) = match text.split_last() {
        Some((b'k' | b'K', rest)) => (rest, 10),
        Some((b'm' | b'M', rest)) => (rest, 20),
        Some((b'g' | b'G', rest)) => (rest, 30),
        _ => (text, 0),
    };
    if digits.is_empty() {
        return Err(Problem::NotANumber);
    }
    let mut value: usize = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Problem::NotANumber);
        }
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(usize::from(digit - b'0')))
            .ok_or(Problem::OutOfBounds)?;
    }
    value.checked_mul(1 << shift).ok_or(Problem::OutOfBounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_parse_with_suffixes_and_refuse_the_rest() {
        assert_eq!(parse_number(b"0"), Ok(0));
        assert_eq!(parse_number(b"16k"), Ok(16 * KIB));
        assert_eq!(parse_number(b"3G"), Ok(3 * GIB));
        for bad in [&b""[..], b"k", b"-1", b"1.5", b" 7", b"0x10", b"12kb"] {
            assert_eq!(parse_number(bad), Err(Problem::NotANumber), "{bad:?}");
        }
        assert_eq!(parse_number(b"99999999999999999999"), Err(Problem::OutOfBounds));
        assert_eq!(parse_number(b"18446744073709551615G"), Err(Problem::OutOfBounds));
    }

    #[test]
    fn every_profile_names_existing_numbers_within_their_bounds() {
        for profile in PROFILES {
            for (name, value) in profile.values {
                let number = NUMBERS.iter().find(|number| number.name == *name).expect(name);
                assert!((number.min..=number.max).contains(value), "{} {name}", profile.name);
            }
        }
        assert!(!apply_profile(&mut { Snapshot::DEFAULT }, b"nonesuch"));
    }

    #[test]
    fn a_value_outside_its_bounds_leaves_the_snapshot_alone() {
        let mut snapshot = Snapshot::DEFAULT;
        for number in NUMBERS {
            assert_eq!(number.get(&snapshot), number.default);
            if number.max < usize::MAX {
                assert_eq!(number.set(&mut snapshot, number.max + 1), Err(Problem::OutOfBounds));
            }
        }
        assert_eq!(snapshot, Snapshot::DEFAULT);
    }

    #[test]
    fn short_caches_are_never_longer_than_they_were() {
        let short = Snapshot::DEFAULT.with_short_caches();
        assert!(
            short.cache_bytes < Snapshot::DEFAULT.cache_bytes && short.retain_bytes < Snapshot::DEFAULT.retain_bytes
        );
        assert_eq!(short.decay_ms, Snapshot::DEFAULT.decay_ms);
        let tiny = Snapshot { cache_bytes: 100, cache_blocks: 1, cache_total: 0, retain_bytes: 0, ..Snapshot::DEFAULT };
        assert_eq!(tiny.with_short_caches(), tiny);
    }

    #[test]
    fn environment_variables_follow_the_names() {
        for (name, env) in NUMBERS.iter().map(|n| (n.name, n.env)).chain(SWITCHES.iter().map(|s| (s.name, s.env))) {
            let expected: std::string::String = std::format!("HAKMEM_{}", name.to_uppercase());
            assert_eq!(env, expected);
        }
    }
}
