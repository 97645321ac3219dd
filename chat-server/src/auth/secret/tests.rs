//! The signing key on a real disk: made once, kept from others, never overwritten.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.data.dir = folder.join("a/data");
    settings
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Puts a file in the key's place.
fn place(settings: &Settings, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(&settings.data.dir).unwrap();
    let path = settings.data.dir.join(FILE);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_key_is_made_once_and_kept_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let key = signing_key(&settings).unwrap();
    assert_eq!(key.expose_secret().len(), BYTES);
    assert_eq!(signing_key(&settings).unwrap().expose_secret(), key.expose_secret());
    assert_eq!(mode(&settings.data.dir.join(FILE)), 0o600);
    assert_eq!(mode(&settings.data.dir), 0o700);
    let files: Vec<_> = fs::read_dir(&settings.data.dir).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is left beside the key");
    assert_eq!(format!("{key:?}"), "SecretBox<[u8]>([REDACTED])");
}

#[test]
fn all_who_start_at_once_have_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let start = std::sync::Barrier::new(16);
    let keys: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            signing_key(&settings).unwrap().expose_secret().to_vec()
        };
        let all: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|two| two[0] == two[1]));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let path = place(&settings, "ab".repeat(32).as_bytes());
    for exposed in [0o644, 0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(exposed)).unwrap();
        let error = signing_key(&settings).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(error.contains(&format!("{exposed:o}")), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(signing_key(&settings).unwrap().expose_secret(), [0xab; 32]);
}

#[test]
fn a_damaged_key_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (short, long, strange) = ("ab".repeat(31), "ab".repeat(33), "xy".repeat(32));
    let spaced = format!(" {}", "ab".repeat(32));
    for damaged in ["", "\n", &short, &long, &strange, &spaced] {
        let path = place(&settings, damaged.as_bytes());
        let error = signing_key(&settings).unwrap_err().to_string();
        assert!(error.contains("is not a signing key"), "{error}");
        assert!(!error.contains(&"ab".repeat(8)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged.as_bytes());
    }
    place(&settings, &[0xff; 64]);
    assert!(matches!(signing_key(&settings), Err(SecretError::Damaged { .. })));
}

#[test]
fn a_folder_in_the_key_s_place_and_a_file_in_the_folder_s_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    fs::create_dir_all(settings.data.dir.join(FILE)).unwrap();
    assert!(signing_key(&settings).is_err());
    settings.data.dir = folder.path().join("file");
    fs::write(&settings.data.dir, "").unwrap();
    assert!(matches!(signing_key(&settings), Err(SecretError::Io { .. })));
}

#[test]
fn an_explicit_secret_is_taken_as_it_is_and_no_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for environment in ["development", "production"] {
        let mut settings = settings(folder.path());
        settings.environment = environment.to_owned();
        settings.auth.secret = Some("thirty-two bytes of test secret!".into());
        let key = signing_key(&settings).unwrap();
        assert_eq!(key.expose_secret(), b"thirty-two bytes of test secret!");
        settings.auth.secret = Some("thirty-one bytes of test secret".into());
        let error = signing_key(&settings).unwrap_err().to_string();
        assert!(error.contains("auth.secret") && !error.contains("thirty-one"), "{error}");
        assert!(!settings.data.dir.exists());
    }
}

#[test]
fn production_makes_nothing_up_and_takes_nothing_that_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    signing_key(&settings).unwrap();
    settings.environment = "production".to_owned();
    let error = signing_key(&settings).unwrap_err().to_string();
    assert!(error.contains("CHAT__AUTH__SECRET"), "{error}");
    assert!(error.contains("openssl rand -hex 32"), "{error}");
}
