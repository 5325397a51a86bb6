//! Passwords: Argon2id, off the runtime's thread, few at a time.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::api::{Code, Problem};

/// Hashes at a time: each takes 19 MiB and some 30 ms of a core. Source of the parameters: OWASP password storage.
const HASHES_MAX: usize = 2;
/// Time that a hash waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest password, characters. Source: NIST SP 800-63B, 3.1.1, for a password alone: 15; 12 with rate limits.
const CHARACTERS_MIN: usize = 12;
/// Longest password, bytes.
const BYTES_MAX: usize = 512;

static TURNS: Semaphore = Semaphore::const_new(HASHES_MAX);

/// A hash that no password has: checked when there is no user, so that both take as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    Argon2::default()
        .hash_password(super::secrets::random(32).as_bytes())
        .map_or_else(|_| String::new(), |hash| hash.to_string())
});

/// Whether a password may be chosen.
///
/// # Errors
/// It is too short, too long, or the name.
pub(super) fn check(name: &str, password: &str) -> Result<(), Problem> {
    let fault = if password.chars().count() < CHARACTERS_MIN {
        format!("it is shorter than {CHARACTERS_MIN} characters")
    } else if password.len() > BYTES_MAX {
        format!("it is longer than {BYTES_MAX} bytes")
    } else if password.to_lowercase().contains(&name.to_lowercase()) && name.len() >= 4 {
        "it contains the name".to_owned()
    } else {
        return Ok(());
    };
    Err(Problem::new(Code::Unprocessable, format!("password: {fault}")))
}

/// Hashes a password.
///
/// # Errors
/// Too many are being hashed.
pub(super) async fn hash(password: Zeroizing<String>) -> Result<String, Problem> {
    in_turn(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok())
        .await?
        .ok_or_else(|| Problem::new(Code::Internal, "the password could not be hashed"))
}

/// Compares a password with a hash; without one, takes as long and says no.
///
/// # Errors
/// Too many are being compared.
pub(super) async fn verify(password: Zeroizing<String>, hash: Option<String>) -> Result<bool, Problem> {
    if password.len() > BYTES_MAX {
        return Ok(false);
    }
    in_turn(move || {
        let text = hash.as_ref().unwrap_or(&NOBODY);
        let fits = PasswordHash::new(text)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        fits && hash.is_some()
    })
    .await
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let busy = || Problem::new(Code::StoreBusy, "many are signing in at this moment; try again").after(2);
    let _turn = timeout(TURN_TIMEOUT, TURNS.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Problem::new(Code::Internal, "hashing a password panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_and_fits_its_password_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let password = |text: &str| Zeroizing::new(text.to_owned());
            let made = hash(password("correct horse battery")).await.unwrap();
            assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
            assert!(verify(password("correct horse battery"), Some(made.clone())).await.unwrap());
            assert!(!verify(password("correct horse batterz"), Some(made)).await.unwrap());
            assert!(!verify(password("correct horse battery"), None).await.unwrap());
            assert!(!verify(password("x"), Some("no hash".to_owned())).await.unwrap());
        });
    }

    #[test]
    fn passwords_that_guessers_try_first_are_refused() {
        for (name, password, fault) in [
            ("ada", "short", "12 characters"),
            ("ada", &"x".repeat(600), "512 bytes"),
            ("admin", "my-Admin-password", "the name"),
        ] {
            assert!(check(name, password).unwrap_err().detail().contains(fault), "{password}");
        }
        assert_eq!(check("ada", "correct horse battery"), Ok(()));
    }
}
