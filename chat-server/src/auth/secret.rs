//! The key that tokens are signed with: the one that somebody set, or one that is made up at the
//! first start and kept in the data folder, where nobody else can read it. In production nothing is
//! made up.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use thiserror::Error;

use crate::auth::SigningKey;
use crate::config::{Auth, ConfigError, Settings};

/// The name of the key's file in the data folder.
const FILE: &str = "signing.key";

/// The bytes of a key that is made up; its file has two hexadecimal digits for each, and a line
/// feed.
const BYTES: usize = 32;

/// Why there is no key to sign with. Each is one line for the person who starts the server.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The settings forbid to make one up, or the one that they hold is too short.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The file, or its folder, can't be read or written.
    #[error("can't {what} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system has no random numbers.
    #[error("can't make up a key: {0}")]
    Random(getrandom::Error),
    /// Others than its owner can read or write the file, so that it is a secret no more.
    #[error(
        "others can read or change the signing key {path} (its mode is {mode:03o}): if nobody has, \
         do `chmod 600 {path}`, else delete it and have a new one made",
        path = path.display()
    )]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its permissions, as `chmod` takes them.
        mode: u32,
    },
    /// What the file holds is not a key. It is left as it is.
    #[error(
        "{} is not a signing key (64 hexadecimal digits): put it back from a copy, or delete it and \
         have a new one made, after which everybody has to sign in again",
        path.display()
    )]
    Damaged {
        /// The key's file.
        path: PathBuf,
    },
}

/// The key that these settings name: the bytes of `auth.secret` if it is set, else those in
/// `signing.key` in the data folder. If that file does not exist it is made, with mode 0600, and
/// the folder too, with mode 0700. Of several processes that start at once, one makes it and all
/// read the same.
///
/// # Errors
///
/// In production without `auth.secret`; if the file can't be made or read; if others can read it;
/// if it holds something else than a key. An existing file is never written to.
pub(super) fn signing_key(settings: &Settings) -> Result<SecretSlice<u8>, SecretError> {
    if let Some(secret) = settings.explicit_secret()? {
        return Ok(secret.expose_secret().as_bytes().to_vec().into());
    }
    let folder = &settings.data.dir;
    let path = folder.join(FILE);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|cause| {
        SecretError::Io { what: "make the folder", path: folder.clone(), cause }
    })?;
    make(folder, &path)?;
    // Reading it back gives the key of whoever was first, and proves that the next start will find
    // it.
    read(&path)?.ok_or_else(|| SecretError::Io {
        what: "read",
        path,
        cause: ErrorKind::NotFound.into(),
    })
}

/// What these settings sign tokens with, and what they signed them with before.
///
/// # Errors
///
/// In production without `auth.secret` or `auth.signing_key`; if a key that is made up can't be kept or
/// read back, or others can read it; if a file with a key of the settings can't be read.
pub fn signing_keys(settings: &Settings) -> Result<(SigningKey, Vec<SigningKey>), SecretError> {
    let Auth { signing_key: file, earlier_signing_key, earlier_secret, .. } = &settings.auth;
    let current = match key_in(file)? {
        Some(key) => key,
        None => SigningKey::Secret(signing_key(settings)?),
    };
    let bytes = |secret: &SecretString| secret.expose_secret().as_bytes().to_vec();
    let secret = earlier_secret.as_ref().map(|secret| SigningKey::Secret(bytes(secret).into()));
    Ok((current, key_in(earlier_signing_key)?.into_iter().chain(secret).collect()))
}

/// The key in a file, if one is named.
fn key_in(path: &Path) -> Result<Option<SigningKey>, SecretError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = std::fs::read_to_string(path);
    let pem = read.map_err(|cause| SecretError::Io { what: "read", path: path.into(), cause })?;
    Ok(Some(SigningKey::Ed25519(pem.into())))
}

/// Reads the key; `None` if there is no file.
fn read(path: &Path) -> Result<Option<SecretSlice<u8>>, SecretError> {
    let io = |cause| SecretError::Io { what: "read", path: path.to_owned(), cause };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(io(cause)),
    };
    // Of the opened file, not of its name, which could name another one a moment later.
    let mode = file.metadata().map_err(io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let damaged = || SecretError::Damaged { path: path.to_owned() };
    // One byte more than a key with its line feed shows that a file is too long, however long it
    // is.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * BYTES + 2));
    file.take(2 * BYTES as u64 + 2).read_to_end(&mut text).map_err(io)?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    if digits.len() != 2 * BYTES {
        return Err(damaged());
    }
    let key: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    key.map(|key| Some(key.into())).ok_or_else(damaged)
}

/// Makes a key's file, unless there is one by now. The file gets its name when it is complete, and
/// a link, unlike renaming, refuses a name that is taken: nobody ever sees half a key or loses one.
fn make(folder: &Path, path: &Path) -> Result<(), SecretError> {
    let io = |what| move |cause| SecretError::Io { what, path: path.to_owned(), cause };
    let mut key = Zeroizing::new([0; BYTES]);
    getrandom::fill(key.as_mut()).map_err(SecretError::Random)?;
    let text: Zeroizing<String> = Zeroizing::new(
        key.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect(),
    );

    let draft = folder.join(format!(".{FILE}.{}", uuid::Uuid::now_v7()));
    let made = write(&draft, text.as_bytes()).and_then(|()| std::fs::hard_link(&draft, path));
    // The draft has done its duty or is of no use; one that can't be removed does no harm.
    let _ = std::fs::remove_file(&draft);
    match made {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(io("make")(cause)),
        _ => {}
    }
    // The name must outlive a loss of power, like what it names.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("keep"))
}

/// Writes a new file that only its owner can read, down to the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
