//! One layer of settings, whatever it was read from: full keys with values of the right type, each
//! knowing where it stood. A key that no setting has, and a value of the wrong type, end here;
//! whether a number is too large or an address makes sense is asked later, of what is left when all
//! layers lie on top of each other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::known::{self, Known};
use super::{ConfigError, Flags, check};

/// What every variable of ours begins with.
const PREFIX: &str = "CHAT__";

/// Values by full key.
#[derive(Clone)]
pub(super) struct Layer(BTreeMap<String, Value>);

impl Layer {
    /// Reads a settings file; `None` if there is none. `name` is relative to `folder`, and is what
    /// errors say.
    pub(super) fn file(
        folder: &Path,
        name: &Path,
        known: &Known,
    ) -> Result<Option<Self>, ConfigError> {
        let file = name.display().to_string();
        let text = match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ConfigError::Unreadable { file, cause }),
        };
        // An editor's byte order mark is not a mistake that anybody could see.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let tree = File::from_str(text, FileFormat::Toml)
            .collect()
            .map_err(|e| ConfigError::NotToml { problem: problem(&e), file: file.clone() })?;
        let mut layer = BTreeMap::new();
        for (key, value) in known::flat(tree) {
            // A section in which everything is commented out is fine.
            if matches!(&value.kind, ValueKind::Table(_)) && known.is_section(&key) {
                continue;
            }
            let kind = known.kind(&key, &file)?;
            if key == "environment" {
                let hint = "choose it with --environment or the variable CHAT__ENVIRONMENT";
                return Err(ConfigError::Misplaced { key, origin: file, hint });
            }
            if !kind.takes(&value.kind) {
                return Err(check::wrong(&key, Some(&value), kind.to_string(), &file));
            }
            layer.insert(key, Value::new(Some(&file), value.kind));
        }
        Ok(Some(Self(layer)))
    }

    /// Takes the variables that are ours: `CHAT__SERVER__LISTEN` is `server.listen`.
    pub(super) fn variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        known: &Known,
    ) -> Result<Self, ConfigError> {
        let mut layer = BTreeMap::new();
        for (name, value) in variables {
            // A name that is not Unicode may begin with ours; then it names no setting, and is
            // shown as far as it can be.
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = rest.split("__").map(str::to_lowercase).collect::<Vec<_>>().join(".");
            let origin = format!("variable {name}");
            let kind = known.kind(&key, &origin)?;
            let value = value
                .into_string()
                .map_err(|_| check::wrong(&key, None, "text in UTF-8".to_owned(), &origin))?;
            let value = kind.read(&key, &value, &origin)?;
            layer.insert(key, value);
        }
        Ok(Self(layer))
    }

    /// Takes the command line. A flag with a name of its own wins over `--set`.
    pub(super) fn flags(flags: &Flags, known: &Known) -> Result<Self, ConfigError> {
        let mut layer = BTreeMap::new();
        for setting in &flags.set {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let origin = format!("flag --set {key}");
            let kind = known.kind(key, &origin)?;
            let hint = match key {
                "environment" => Some("choose it with --environment"),
                "auth.secret" => Some(
                    "everybody here can read a command line: use the variable CHAT__AUTH__SECRET",
                ),
                "auth.earlier_secret" => Some(
                    "everybody here can read a command line: use the variable \
                     CHAT__AUTH__EARLIER_SECRET",
                ),
                _ => None,
            };
            if let Some(hint) = hint {
                return Err(ConfigError::Misplaced { key: key.to_owned(), origin, hint });
            }
            if !setting.contains('=') {
                return Err(check::wrong(
                    key,
                    None,
                    "followed by `=` and a value".to_owned(),
                    &origin,
                ));
            }
            layer.insert(key.to_owned(), kind.read(key, value, &origin)?);
        }
        let named = [
            ("environment", "flag --environment", &flags.environment),
            ("server.listen", "flag --listen", &flags.listen),
            ("data.dir", "flag --data", &flags.data),
        ];
        for (key, origin, value) in named {
            if let Some(value) = value {
                layer.insert(key.to_owned(), Value::new(Some(&origin.to_owned()), value.as_str()));
            }
        }
        Ok(Self(layer))
    }

    /// The environment that this layer chooses, if it does. It becomes part of a file's name, and
    /// `Production` must not pass for a name of somebody's own, so only small letters are taken.
    pub(super) fn environment(&self) -> Option<Result<String, ConfigError>> {
        let value = self.0.get("environment")?;
        let name = value.kind.to_string();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        Some(if (1..=32).contains(&name.len()) && name.chars().all(plain) {
            Ok(name)
        } else {
            let allowed = "1 to 32 of the characters a-z, 0-9, - and _".to_owned();
            Err(check::wrong(
                "environment",
                Some(value),
                allowed,
                value.origin().unwrap_or_default(),
            ))
        })
    }

    /// Where each value stood, by full key.
    pub(super) fn sources(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0
            .iter()
            .map(|(key, value)| (key.clone(), value.origin().unwrap_or_default().to_owned()))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl fmt::Debug for Layer {
    /// Keys only: one of the values is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a TOML parser says, in one line and without the line of the file that it quotes, which may
/// hold a secret.
fn problem(error: &::config::ConfigError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().filter(|line| !line.contains(" |")).map(str::trim).collect();
    lines.join("; ")
}
