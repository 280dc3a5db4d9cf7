//! Secrets of a recipe: which there are, and how their values are made.

use std::collections::BTreeMap;

use diceware_wordlists::Wordlist;

use super::env::EnvFile;
use crate::compose::{Finding, Severity, Stack, secret_names};

/// Letters and digits that are not mistaken for each other.
const PLAIN: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Signs.
const SPECIAL: &str = "!@#$%^&*_-+=";
/// Signs that need no escape in an `.env` file or a compose file: those without the dollar sign.
const SAFE_SPECIAL: &str = "!@#%^&*_-+=";
/// Digits of base 16.
const HEX: &str = "0123456789abcdef";
/// Words of a passphrase.
const PASSPHRASE_WORDS: usize = 6;
/// Longest value that is made.
const LENGTH_MAX: u32 = 1024;

/// The characters that a value is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits.
    #[default]
    Plain,
    /// Signs.
    Special,
    /// Signs without the dollar sign.
    SafeSpecial,
    /// Letters, digits and signs.
    PlainAndSpecial,
    /// Letters, digits and signs without the dollar sign.
    PlainAndSafeSpecial,
    /// Lower-case digits of base 16.
    Hex,
}

impl Charset {
    /// Reads the modifier `charset=…`; `None` when it is not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_lowercase().as_str() {
            "" | "default" => Self::Plain,
            "special" => Self::Special,
            "safespecial" => Self::SafeSpecial,
            "default,special" => Self::PlainAndSpecial,
            "default,safespecial" => Self::PlainAndSafeSpecial,
            "hex" => Self::Hex,
            _ => return None,
        })
    }

    /// Returns the characters.
    #[must_use]
    pub fn characters(self) -> String {
        match self {
            Self::Plain => PLAIN.to_owned(),
            Self::Special => SPECIAL.to_owned(),
            Self::SafeSpecial => SAFE_SPECIAL.to_owned(),
            Self::PlainAndSpecial => format!("{PLAIN}{SPECIAL}"),
            Self::PlainAndSafeSpecial => format!("{PLAIN}{SAFE_SPECIAL}"),
            Self::Hex => HEX.to_owned(),
        }
    }
}

/// How the value of a secret is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many characters.
    Password {
        /// How many.
        length: u32,
        /// Of which.
        charset: Charset,
    },
    /// Six words of the EFF's long list, with blanks between them.
    Passphrase,
    /// It is not: a person gives it.
    ByHand,
}

/// A secret that a stack needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSecret {
    /// Its name in the compose file.
    pub key: String,
    /// Its name in the swarm.
    pub name: String,
    /// Its version, the last part of that name; empty when the name is not of the usual form.
    pub version: String,
    /// How its value is made.
    pub rule: Rule,
    /// Names of the services that use it.
    pub used_by: Vec<String>,
}

/// Returns the secrets that the services of a stack use and that the stack's files do not bring, with the rules that
/// the modifiers of `.env` give. The second list says which modifiers are wrong.
#[must_use]
pub fn wanted(stack: &Stack, env: &EnvFile, variables: &VersionVariables) -> (Vec<WantedSecret>, Vec<Finding>) {
    let mut secrets = Vec::new();
    let mut findings = Vec::new();
    for object in stack.secrets.iter().filter(|object| object.external && !object.used_by.is_empty()) {
        let own = object.name.strip_prefix(&format!("{}_", stack.name));
        let version = own.and_then(|rest| rest.rsplit_once('_')).map_or("", |(_, version)| version);
        let rule = rule(&variables.of(&object.key), env).unwrap_or_else(|message| {
            let place = stack.places.find(&["secrets", &object.key]);
            findings.push(Finding { severity: Severity::Error, rule: "SecretModifier".to_owned(), place, message });
            Rule::ByHand
        });
        secrets.push(WantedSecret {
            key: object.key.clone(),
            name: object.name.clone(),
            version: version.to_owned(),
            rule,
            used_by: object.used_by.clone(),
        });
    }
    (secrets, findings)
}

/// Which variable holds the version of which secret: the one that its name in the swarm is made of. Recipes need not name
/// it after the secret, and those that share one file among several do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionVariables(BTreeMap<String, String>);

impl VersionVariables {
    /// Takes in the text of a compose file; the last one that names a secret counts.
    pub fn read(&mut self, file: &str, text: &str) {
        for (key, variables) in secret_names(file, text) {
            if let Some(variable) = variables.into_iter().rev().find(|name| name.ends_with("VERSION")) {
                self.0.insert(key, variable);
            }
        }
    }

    /// Returns the variable of a secret, by its name in the compose file.
    #[must_use]
    pub fn of(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_else(|| version_variable(key))
    }
}

/// Returns the variable that holds the version of a secret by convention.
#[must_use]
pub fn version_variable(key: &str) -> String {
    format!("SECRET_{}_VERSION", key.replace('-', "_").to_uppercase())
}

/// Returns how the value of a secret is made, by the modifiers of its version's line.
fn rule(variable: &str, env: &EnvFile) -> Result<Rule, String> {
    let Some(entry) = env.entry(variable) else { return Ok(Rule::Passphrase) };
    if entry.modifiers.get("generate").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Ok(Rule::ByHand);
    }
    let charset = match entry.modifiers.get("charset") {
        None => Charset::default(),
        Some(text) => Charset::parse(text).ok_or_else(|| {
            format!("{variable} has the unknown modifier charset={text}: use default, special, safespecial or hex")
        })?,
    };
    match entry.modifiers.get("length") {
        None => Ok(Rule::Passphrase),
        Some(text) => {
            let length = text.parse().ok().filter(|length| (1..=LENGTH_MAX).contains(length));
            let length = length
                .ok_or_else(|| format!("{variable} has the modifier length={text}: it must be 1 to {LENGTH_MAX}"))?;
            Ok(Rule::Password { length, charset })
        }
    }
}

/// Makes a value; `None` for one that a person gives. `random` fills bytes with unpredictable ones.
pub fn generate(rule: Rule, random: &mut dyn FnMut(&mut [u8])) -> Option<String> {
    match rule {
        Rule::ByHand => None,
        Rule::Password { length, charset } => {
            let characters: Vec<char> = charset.characters().chars().collect();
            Some((0..length.min(LENGTH_MAX)).map(|_| characters[below(characters.len(), random)]).collect())
        }
        Rule::Passphrase => {
            let words = Wordlist::EffLong.get_list();
            let chosen: Vec<&str> = (0..PASSPHRASE_WORDS).map(|_| words[below(words.len(), random)]).collect();
            Some(chosen.join(" "))
        }
    }
}

/// Returns a number below `limit`, each as likely as any other.
fn below(limit: usize, random: &mut dyn FnMut(&mut [u8])) -> usize {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    // What lies above the largest multiple of the limit would make small numbers likelier: it is drawn again.
    let whole = u32::MAX - u32::MAX % limit;
    loop {
        let mut bytes = [0; 4];
        random(&mut bytes);
        let number = u32::from_le_bytes(bytes);
        if number < whole {
            return (number % limit) as usize;
        }
    }
}
