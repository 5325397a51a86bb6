//! Random secrets, their hashes, and the file of the key that signs access tokens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Name of the key file in the store's folder.
pub(super) const FILE: &str = "signing.key";
/// Shortest key, bytes. Source: RFC 7518, 3.2: as long as the hash.
const KEY_BYTES_MIN: usize = 32;
/// Fewer different bytes than this in a key of 32 are no chance: a sample or a text.
const DISTINCT_BYTES_MIN: usize = 16;
/// Keys in the file: the one that signs, and those of before.
const KEYS_MAX: usize = 8;

/// Random bytes as text that is safe in URLs and headers.
pub(super) fn random(bytes: usize) -> Zeroizing<String> {
    let mut buffer = Zeroizing::new(vec![0_u8; bytes]);
    // getrandom fails only where it is forbidden; a secret of zeros must not come of it, and the task ends here.
    assert!(SystemRandom::new().fill(&mut buffer).is_ok(), "the kernel gives no random bytes");
    Zeroizing::new(URL_SAFE_NO_PAD.encode(&*buffer))
}

/// A random name: `prefix` and 16 hexadecimal digits.
pub(super) fn random_name(prefix: &str) -> String {
    let digest = digest::digest(&digest::SHA256, random(16).as_bytes());
    let digits: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{digits}")
}

/// What the store keeps of a random secret. No salt: there is nothing to guess in 32 random bytes.
pub(super) fn hash(secret: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().to_vec()
}

/// The keys of access tokens: the first signs, all verify.
pub(crate) struct SigningKeys {
    keys: Vec<SigningKey>,
}

struct SigningKey {
    id: String,
    sign: EncodingKey,
    verify: DecodingKey,
}

impl SigningKeys {
    /// Reads the file of a folder, and makes it if there is none; without a folder, a key for this process.
    ///
    /// # Errors
    /// The file is readable to others, or a key in it is weak. Exit code 78.
    pub(super) fn load(folder: Option<&Path>) -> Result<SigningKeys, Failure> {
        let Some(file) = folder.map(|folder| folder.join(FILE)) else {
            return SigningKeys::parse("for this process", &fresh());
        };
        let refused = |error: io::Error| {
            Failure::config(
                format!("{}: {error}", file.display()),
                "make it readable to Millrace, and to nobody else",
            )
        };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
            Ok(mut made) => {
                made.write_all(fresh().as_bytes()).and_then(|()| made.sync_all()).map_err(refused)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refused(error)),
        }
        let mode = fs::metadata(&file).map_err(refused)?.permissions().mode();
        if mode & 0o077 != 0 {
            let text =
                format!("{}: others than its owner may read it (mode {:o})", file.display(), mode & 0o777);
            return Err(Failure::config(
                text,
                format!("chmod 600 {}; if others had it, remove it", file.display()),
            ));
        }
        let text = Zeroizing::new(fs::read_to_string(&file).map_err(refused)?);
        SigningKeys::parse(&file.display().to_string(), &text)
    }

    /// Reads lines of `ID KEY`, the key in base64url.
    fn parse(origin: &str, text: &str) -> Result<SigningKeys, Failure> {
        let refused = |fault: &str| {
            let remedy = "remove the file to have a fresh key made (all sessions end), or put `ID KEY` in each line, the key \
                          32 random bytes in base64url";
            Failure::config(format!("{origin}: {fault}"), remedy)
        };
        let mut keys = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (id, key) = line.split_once(' ').ok_or_else(|| refused("a line is not `ID KEY`"))?;
            let key = URL_SAFE_NO_PAD
                .decode(key.trim())
                .map(Zeroizing::new)
                .map_err(|_| refused("a key is no base64url"))?;
            let distinct: std::collections::HashSet<u8> = key.iter().copied().collect();
            if key.len() < KEY_BYTES_MIN || distinct.len() < DISTINCT_BYTES_MIN {
                return Err(refused("a key is weak: it needs 32 random bytes"));
            }
            let (sign, verify) = (EncodingKey::from_secret(&key), DecodingKey::from_secret(&key));
            keys.push(SigningKey { id: id.to_owned(), sign, verify });
        }
        match keys.len() {
            0 => Err(refused("it holds no key")),
            1..=KEYS_MAX => Ok(SigningKeys { keys }),
            _ => Err(refused("it holds more than 8 keys")),
        }
    }

    /// The key that signs, and its id.
    pub(super) fn signing(&self) -> (&str, &EncodingKey) {
        // There is at least one: `parse` refuses none.
        (&self.keys[0].id, &self.keys[0].sign)
    }

    /// The key of an id.
    pub(super) fn verifying(&self, id: &str) -> Option<&DecodingKey> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.verify)
    }
}

fn fresh() -> Zeroizing<String> {
    Zeroizing::new(format!("{} {}\n", random_name("s"), *random(32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKeys::load(Some(folder.path())).unwrap();
        let again = SigningKeys::load(Some(folder.path())).unwrap();
        assert_eq!(first.signing().0, again.signing().0);
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SigningKeys::load(Some(folder.path())).err().unwrap();
        assert_eq!(refused.code, 78);
        assert!(refused.text.contains("mode 640") && refused.remedy.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn weak_and_garbled_keys_are_refused_without_being_shown() {
        let encoded = |key: &[u8]| URL_SAFE_NO_PAD.encode(key);
        let weak = [
            encoded(b"short"),
            encoded(&[0; 32]),
            encoded(b"secretsecretsecretsecretsecretsecret"),
            "no base64!".to_owned(),
            String::new(),
        ];
        for key in weak {
            let refused = SigningKeys::parse("f", &format!("a {key}")).err().unwrap();
            assert_eq!(refused.code, 78);
            assert!(key.is_empty() || !refused.to_string().contains(&key), "{refused}");
        }
        assert!(SigningKeys::parse("f", "\n\n").is_err());
    }

    #[test]
    fn an_older_key_still_verifies_and_does_not_sign() {
        let (new, old) = (fresh(), fresh());
        let keys = SigningKeys::parse("f", &format!("{}{}", *new, *old)).unwrap();
        let id = |line: &str| line.split(' ').next().unwrap().to_owned();
        assert_eq!(keys.signing().0, id(&new));
        assert!(keys.verifying(&id(&old)).is_some() && keys.verifying("other").is_none());
    }

    #[test]
    fn secrets_differ_and_names_are_short() {
        assert_ne!(*random(32), *random(32));
        assert_eq!(random(32).len(), 43);
        assert_eq!(random_name("k").len(), 17);
    }
}
