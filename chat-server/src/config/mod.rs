//! The settings of the server: where they come from, in which order, and what is told when one of
//! them is wrong. Each layer overrides the one before it: built-in defaults, `config/default.toml`,
//! `config/{environment}.toml` (or the file named by `--config`), variables named
//! `CHAT__SECTION__KEY`, flags. Nothing here opens the store, makes a folder or reads a key; what
//! the values mean is said in `sections.rs`, once.

mod check;
mod error;
mod flags;
mod known;
mod layer;
mod sections;
mod values;

pub use error::ConfigError;
pub use flags::Flags;
pub use sections::{Auth, Data, Log, Rooms, Server, Socket, Store};
pub use values::{DatabaseUrl, DatabaseUrls, LogFormat, Networks, OriginList, StoreUrl, Transport};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use ::config::{Config, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use known::Known;
use layer::Layer;

/// The environment in which nothing is made up: it needs an explicit `auth.secret`.
pub const PRODUCTION: &str = "production";

/// The fewest bytes of a secret: as many as the hash has that tokens are signed with (RFC 7518,
/// section 3.2).
pub const SHORTEST_SECRET: usize = 32;

/// Every setting of the server, checked: a value of this type can be used as it is.
///
/// `Debug` and [`Settings::display`] never show `auth.secret`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// What kind of installation this is: `development` unless chosen with `--environment` or
    /// `CHAT__ENVIRONMENT`.
    pub environment: String,
    /// Where and how the server listens.
    pub server: Server,
    /// Which database holds rooms and messages.
    pub store: Store,
    /// Where files are kept.
    pub data: Data,
    /// Who is let in.
    pub auth: Auth,
    /// How rooms behave.
    pub rooms: Rooms,
    /// How connections behave.
    pub socket: Socket,
    /// What the log tells, and how.
    pub log: Log,
    /// Where each setting that is not a default came from, by its full key, in words for people.
    #[serde(skip)]
    sources: BTreeMap<String, String>,
}

impl Default for Settings {
    /// What holds where nothing is set: everything below `./data`, and only this machine is
    /// listened to.
    fn default() -> Self {
        Self {
            environment: "development".to_owned(),
            server: Server::default(),
            store: Store::default(),
            data: Data::default(),
            auth: Auth::default(),
            rooms: Rooms::default(),
            socket: Socket::default(),
            log: Log::default(),
            sources: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Reads the settings of this process: its flags, its environment variables, and the files in
    /// the folder `config` of the current directory, which need not exist.
    ///
    /// # Errors
    ///
    /// The first thing found wrong, in one line that names the key, or the file and line, and where
    /// it stands.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_from(flags, std::env::vars_os(), Path::new(""))
    }

    /// Does what [`Settings::load`] does with these variables instead of the process's, and with
    /// `folder` in place of the current directory as the place of `config` and the start of a
    /// relative `--config`. Variables whose names do not begin with `CHAT__` are left alone. Paths
    /// in the settings stay as they are written.
    ///
    /// # Errors
    ///
    /// As for [`Settings::load`].
    pub fn load_from(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        folder: &Path,
    ) -> Result<Self, ConfigError> {
        let defaults = Self::default();
        let known = Known::of(&defaults);
        let variables = Layer::variables(variables, &known)?;
        let flag_layer = Layer::flags(flags, &known)?;
        let environment = [&flag_layer, &variables]
            .into_iter()
            .find_map(Layer::environment)
            .unwrap_or(Ok(defaults.environment.clone()))?;

        let mut layers = Vec::new();
        layers.extend(Layer::file(folder, Path::new("config/default.toml"), &known)?);
        layers.extend(match &flags.config {
            Some(named) => Some(
                Layer::file(folder, named, &known)?
                    .ok_or_else(|| ConfigError::NoSuchFile { file: named.display().to_string() })?,
            ),
            None => Layer::file(folder, Path::new(&format!("config/{environment}.toml")), &known)?,
        });
        layers.extend([variables, flag_layer]);

        let mut sources = BTreeMap::new();
        let mut builder = Config::builder().add_source(known::tree(&defaults));
        for layer in layers {
            sources.extend(layer.sources());
            builder = builder.add_source(layer);
        }
        // The layers hold known keys and values of the right type only, so that putting them on top
        // of each other has nothing left to refuse.
        let merged = builder.build().expect("checked layers merge");
        let leaves = known::leaves(&merged);
        check::ranges(&leaves)?;
        let mut settings: Self =
            merged.try_deserialize().map_err(|e| check::explain(&e, &leaves))?;

        settings.sources = sources;
        settings.follow_data_dir();
        settings.explicit_secret()?;
        settings.certificate()?;
        Ok(settings)
    }

    /// The secret that somebody chose, if anybody did.
    ///
    /// # Errors
    ///
    /// It has fewer than 32 bytes; or there is none, nor a key, although this is `production`, where a
    /// secret that was made up on the spot would differ from node to node.
    pub fn explicit_secret(&self) -> Result<Option<&SecretString>, ConfigError> {
        match &self.auth.secret {
            Some(secret) if secret.expose_secret().len() < SHORTEST_SECRET => {
                let origin = self.sources.get("auth.secret").map_or("set by hand", String::as_str);
                let allowed = format!("{SHORTEST_SECRET} bytes or more");
                Err(check::wrong("auth.secret", None, allowed, origin))
            }
            None if self.environment == PRODUCTION
                && self.auth.signing_key.as_os_str().is_empty() =>
            {
                Err(ConfigError::NoSecret)
            }
            secret => Ok(secret.as_ref()),
        }
    }

    /// The files of the certificate and its key, if TLS is to be spoken.
    ///
    /// # Errors
    ///
    /// If only one of them is set.
    pub fn certificate(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        let Server { tls_certificate, tls_key, .. } = &self.server;
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        let (set, missing) = match (is_set(tls_certificate), is_set(tls_key)) {
            (false, false) => return Ok(None),
            (true, true) => return Ok(Some((tls_certificate, tls_key))),
            (true, false) => ("server.tls_certificate", "server.tls_key"),
            (false, true) => ("server.tls_key", "server.tls_certificate"),
        };
        let origin = self.sources.get(set).map_or("set by hand", String::as_str);
        let allowed = format!("a file, because {set} is one ({origin})");
        Err(check::wrong(missing, None, allowed, "not set"))
    }

    /// All settings as a settings file would have them, each with where it came from; the secret is
    /// hidden.
    pub fn display(&self) -> String {
        let mut text = format!("# environment: {}\n", self.environment);
        let mut current = String::new();
        for (key, value) in known::leaves(&known::tree(self)) {
            let Some((section, name)) = key.split_once('.') else {
                continue;
            };
            if section != current {
                current = section.to_owned();
                text.push_str(&format!("\n[{section}]\n"));
            }
            let source = self.sources.get(&key).map_or("default", String::as_str);
            text.push_str(&match value.kind {
                ValueKind::Nil => format!("# {name} is not set\n"),
                _ => format!("{name} = {} # {source}\n", check::shown(&value)),
            });
        }
        text
    }

    /// Moves what has no place of its own into the data folder.
    fn follow_data_dir(&mut self) {
        if !self.sources.contains_key("store.url") {
            self.store.url = StoreUrl::below(&self.data.dir);
        }
        if !self.sources.contains_key("data.uploads") {
            self.data.uploads = self.data.dir.join("uploads");
        }
    }
}

#[cfg(test)]
mod tests;
