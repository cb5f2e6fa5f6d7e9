//! The table of settings. The snapshot struct, its defaults, the bounds that the parser checks, `hakmem options` and
//! the documentation all come from its rows. To add a number, add a row.

/// A tunable number: one row of the table.
pub struct Number {
    /// The name, as in `hakmem run --set name=value` and in the snapshot.
    pub name: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The value if the setting is not given.
    pub default: usize,
    /// The smallest value that is accepted.
    pub min: usize,
    /// The largest value that is accepted.
    pub max: usize,
    /// The unit: `bytes`, `blocks`, `ms`, `us` or `%`.
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

    /// Stores `value` in `snapshot`, or returns [`Problem::OutOfBounds`] if it is not within the bounds of the row.
    pub fn set(&self, snapshot: &mut Snapshot, value: usize) -> Result<(), Problem> {
        if value < self.min || value > self.max {
            return Err(Problem::OutOfBounds);
        }
        (self.write)(snapshot, value);
        Ok(())
    }
}

/// A setting that is not a number.
pub struct Switch {
    /// The name, as in `hakmem options`.
    pub name: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The value if the setting is not given.
    pub default: &'static str,
    /// The values that are accepted, as text for people: `0 | 1 | json`, `a path`.
    pub accepts: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
}

/// Why a value was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The text is not a decimal number with an optional suffix K, M or G (powers of 1024).
    NotANumber,
    /// The number is outside the bounds of the row.
    OutOfBounds,
}

macro_rules! numbers {
    ($($name:ident = $default:expr, $min:expr => $max:expr, $unit:literal, $env:literal, $doc:literal;)*) => {
        /// The values of all tunable numbers. A snapshot does not change once it is published.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct Snapshot {
            $(#[doc = $doc] pub $name: usize,)*
        }

        impl Snapshot {
            /// The values if no setting is given.
            pub const DEFAULT: Snapshot = Snapshot { $($name: $default,)* };
        }

        /// All rows, in the order in which they are printed.
        pub static NUMBERS: &[Number] = &[$(Number {
            name: stringify!($name), env: $env, default: $default, min: $min, max: $max, unit: $unit, doc: $doc,
            write: |snapshot, value| snapshot.$name = value,
            read: |snapshot| snapshot.$name,
        },)*];

        // In many rows the smallest value is 0, and then the first comparison is always true.
        #[allow(unused_comparisons)]
        const _: () = { $(assert!($min <= $default && $default <= $max);)* };
    };
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

numbers! {
    cache_bytes = MIB, 0 => 64 * MIB, "bytes", "HAKMEM_CACHE_BYTES",
        "Free memory of one size class that a thread may cache.";
    cache_blocks = 1024, 1 => 32768, "blocks", "HAKMEM_CACHE_BLOCKS",
        "The same bound as a number of blocks; the smaller of the two applies.";
    cache_total = 64 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_CACHE_TOTAL",
        "Free memory that all threads together may cache in spans, and again as much in medium blocks.";
    remote_batch = 64, 1 => 1024, "blocks", "HAKMEM_REMOTE_BATCH",
        "Blocks of another thread that a thread frees before it sends them to that thread in one step.";
    remote_bytes = 32 * KIB, 0 => 4 * MIB, "bytes", "HAKMEM_REMOTE_BYTES",
        "The same bound in bytes; the bound that is reached first applies.";
    decay_ms = 500, 0 => 3_600_000, "ms", "HAKMEM_DECAY_MS",
        "How long free memory stays resident before it goes back to the system; with 0 it goes back at once.";
    retain_bytes = 512 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_RETAIN_BYTES",
        "Free resident memory above this goes back at once, without waiting for the decay.";
    scavenge_from = 32 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_SCAVENGE_FROM",
        "A process with this much mapped gets a scavenger, the thread that gives memory back while the program idles.";
    huge_from = 128 * MIB, 0 => 1024 * GIB, "bytes", "HAKMEM_HUGE_FROM",
        "A process with this much mapped gets huge pages for further mappings; 0 turns them off.";
    huge_price = 500, 0 => 1_000_000, "us", "HAKMEM_HUGE_PRICE",
        "If the first touch of a huge page takes this long, the next few segments get small pages; 0 accepts any time.";
    populate_bytes = 512 * KIB, 0 => 512 * KIB, "bytes", "HAKMEM_POPULATE_BYTES",
        "Memory for small blocks that one call makes resident in a process that grows; less than 256K turns this off.";
    limit_soft = 0, 0 => 1024 * GIB, "bytes", "HAKMEM_LIMIT_SOFT",
        "Above this much memory all free memory goes back, caches are short, and the program is told; 0 is no limit.";
    limit_hard = 0, 0 => 1024 * GIB, "bytes", "HAKMEM_LIMIT_HARD",
        "The process gets no memory beyond this; 0 is no limit.";
    limit_system = 90, 0 => 100, "%", "HAKMEM_LIMIT_SYSTEM",
        "This share of the control group's maximum, or its memory.high, acts like the soft limit; 0 ignores both.";
    limit_pressure = 10, 0 => 99, "%", "HAKMEM_LIMIT_PRESSURE",
        "More time than this lost to memory pressure, as the kernel counts it, acts like the soft limit; 0 ignores it.";
}

/// The settings that are not numbers.
pub static SWITCHES: &[Switch] = &[
    Switch {
        name: "profile",
        env: "HAKMEM_PROFILE",
        default: "default",
        accepts: "default | small | throughput",
        doc: "A named set of the numbers above; single settings override it.",
    },
    Switch {
        name: "on_misuse",
        env: "HAKMEM_ON_MISUSE",
        default: "report",
        accepts: "report | abort | ignore",
        doc: "What happens when misuse is noticed: one line on standard error, the same line and then SIGABRT, or nothing.",
    },
    Switch {
        name: "scavenger",
        env: "HAKMEM_SCAVENGER",
        default: "1",
        accepts: "0 | 1",
        doc: "Whether there may be a scavenger; without one, memory goes back only while the program allocates and frees.",
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

/// A named set of numbers.
pub struct Profile {
    /// The name, as in `HAKMEM_PROFILE`.
    pub name: &'static str,
    /// The purpose, in one line.
    pub doc: &'static str,
    /// The numbers it changes, by name.
    pub values: &'static [(&'static str, usize)],
}

/// All profiles.
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
        doc: "For a program that has the machine to itself: long caches, memory is kept.",
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
    /// The same snapshot, but with caches and free resident memory no larger than in the profile `small`. It is in
    /// force while memory is short.
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

/// Applies the profile `name` to `snapshot`. Returns false if there is no such profile.
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

/// Parses a number: decimal digits with an optional suffix K, M or G (powers of 1024, in either case).
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
    fn a_value_out_of_bounds_does_not_change_the_snapshot() {
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
