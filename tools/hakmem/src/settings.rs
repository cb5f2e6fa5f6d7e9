//! `--set name=value`, checked against the one table of settings before anything runs.

use hakmem_core::policy::{NUMBERS, Number, PROFILES, Problem, SWITCHES, Switch, parse_number};

/// What stands in a switch's `accepts` when its value is a path rather than one of a few words.
const A_PATH: &str = "a path";

/// A setting that passed the table: the environment variable and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub variable: &'static str,
    pub value: String,
}

/// Reads `name=value`.
pub fn parse_assignment(text: &str) -> Result<Assignment, String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "expected NAME=VALUE, such as decay_ms=500".to_owned())?;
    if let Some(number) = NUMBERS.iter().find(|number| number.name == name) {
        check_number(number, value)?;
        return Ok(Assignment { variable: number.env, value: value.to_owned() });
    }
    if let Some(switch) = SWITCHES.iter().find(|switch| switch.name == name) {
        return Ok(Assignment { variable: switch.env, value: check_switch(switch, value)? });
    }
    Err(unknown(name))
}

/// Every variable of the environment that the library would refuse, with the reason.
pub fn refused_in_environment() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(variable, value)| {
            let variable = variable.to_string_lossy().into_owned();
            let name = variable.strip_prefix("HAKMEM_")?.to_lowercase();
            let problem = parse_assignment(&format!("{name}={}", value.to_string_lossy())).err()?;
            Some(format!("{variable} is ignored: {problem}"))
        })
        .collect()
}

/// The words a switch accepts; empty if it takes free text.
pub fn words(switch: &Switch) -> Vec<&'static str> {
    match switch.accepts {
        A_PATH => Vec::new(),
        words => words.split(" | ").collect(),
    }
}

/// A number the way `--set` takes it: bytes with the largest suffix that fits, the rest plain.
pub fn format_number(value: usize, unit: &str) -> String {
    let suffixes = [(30, "G"), (20, "M"), (10, "K")];
    match suffixes.iter().find(|(shift, _)| value != 0 && value.trailing_zeros() >= *shift) {
        Some((shift, suffix)) if unit == "bytes" => format!("{}{suffix}", value >> shift),
        _ => value.to_string(),
    }
}

/// The names of all profiles.
pub fn profile_names() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

fn check_number(number: &Number, value: &str) -> Result<(), String> {
    let what = match parse_number(value.as_bytes()) {
        Ok(parsed) if (number.min..=number.max).contains(&parsed) => return Ok(()),
        Ok(_) | Err(Problem::OutOfBounds) => "is out of bounds",
        Err(Problem::NotANumber) => "is not a whole number (with K, M or G behind it if need be)",
    };
    let show = |bound| format_number(bound, number.unit);
    Err(format!(
        "`{value}` {what}; {} takes {} to {} {} and is {} by default",
        number.name,
        show(number.min),
        show(number.max),
        number.unit,
        show(number.default)
    ))
}

fn check_switch(switch: &Switch, value: &str) -> Result<String, String> {
    if switch.accepts == A_PATH {
        // The program may change its directory before the library opens the file.
        return match std::path::absolute(value) {
            Ok(path) if path.parent().is_some_and(|parent| parent.is_dir()) => Ok(path.to_string_lossy().into_owned()),
            Ok(path) => {
                Err(format!("{} takes a path, and the directory of `{}` does not exist", switch.name, path.display()))
            }
            Err(_) => Err(format!("{} takes a path, not nothing", switch.name)),
        };
    }
    let words = words(switch);
    if words.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(format!("`{value}` is not accepted; {} takes {}", switch.name, words.join(", ")))
}

fn unknown(name: &str) -> String {
    let plain = name.to_lowercase().replace('-', "_");
    let plain = plain.strip_prefix("hakmem_").unwrap_or(&plain);
    let names = NUMBERS.iter().map(|number| number.name).chain(SWITCHES.iter().map(|switch| switch.name));
    let nearest = names.map(|known| (strsim::jaro_winkler(plain, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, known)) if likeness > 0.8 => format!("no setting is called `{name}`; did you mean `{known}`?"),
        _ => format!("no setting is called `{name}`; `hakmem options` lists them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_accepted_the_way_it_is_shown() {
        for number in NUMBERS {
            for value in [number.default, number.min, number.max] {
                let text = format!("{}={}", number.name, format_number(value, number.unit));
                assert_eq!(parse_assignment(&text).expect(&text).variable, number.env);
                assert_eq!(parse_number(format_number(value, number.unit).as_bytes()), Ok(value));
            }
        }
        for switch in SWITCHES {
            for word in words(switch) {
                assert!(parse_assignment(&format!("{}={word}", switch.name)).is_ok());
            }
        }
    }

    #[test]
    fn the_switch_called_profile_accepts_exactly_the_profiles() {
        let switch = SWITCHES.iter().find(|switch| switch.name == "profile").unwrap();
        assert_eq!(words(switch), profile_names());
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let refusal = |text: &str| parse_assignment(text).unwrap_err();
        assert!(refusal("decay_ms").contains("NAME=VALUE"));
        assert!(refusal("decay_ms=soon").contains("0 to 3600000 ms"));
        assert!(refusal("cache_blocks=0").contains("1 to 32768 blocks"));
        assert!(refusal("decay=5").contains("did you mean `decay_ms`?"));
        assert!(refusal("HAKMEM_DECAY_MS=5").contains("did you mean `decay_ms`?"));
        assert!(refusal("colour=blue").contains("hakmem options"));
        assert!(refusal("stats=xml").contains("0, 1, json"));
        assert!(refusal("stats_file=").contains("a path"));
        assert!(refusal("stats_file=/nonesuch/file").contains("does not exist"));
    }
}
