//! Certificates of a secured cluster, made on the spot by the `openssl` command and good for two days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, PKCS#8.
    pub key: PathBuf,
}

/// All certificates of a cluster.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that signed the broker's and the client's.
    pub ca: PathBuf,
    /// Another authority, which signed nothing here.
    pub strange_ca: PathBuf,
    /// A client that the broker trusts; its principal is `User:CN=millrace`.
    pub client: Certificate,
    /// A client of the strange authority.
    pub strange_client: Certificate,
    /// The broker's key and certificate in one file, as Kafka's PEM key store wants them.
    pub(super) broker_keystore: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`.
    ///
    /// # Errors
    /// `openssl` is missing or refuses.
    pub(super) fn make(folder: &Path) -> Result<Certificates> {
        let ca = authority(folder, "ca")?;
        let strange = authority(folder, "strange-ca")?;
        let broker = signed(folder, "broker", "localhost", &ca)?;
        let client = signed(folder, "client", "millrace", &ca)?;
        let strange_client = signed(folder, "strange-client", "millrace", &strange)?;
        let broker_keystore = folder.join("broker-keystore.pem");
        let both = [fs::read(&broker.key)?, fs::read(&broker.certificate)?].concat();
        fs::write(&broker_keystore, both)?;
        let (ca, strange_ca) = (ca.certificate, strange.certificate);
        Ok(Certificates { ca, strange_ca, client, strange_client, broker_keystore })
    }
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

fn authority(folder: &Path, name: &str) -> Result<Certificate> {
    let made = names(folder, name);
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-days", "2", "-subj", &format!("/CN=Millrace test {name}")]).args(NEW_KEY);
    command.arg("-keyout").arg(&made.key).arg("-out").arg(&made.certificate);
    run(&mut command)?;
    Ok(made)
}

fn signed(folder: &Path, name: &str, common_name: &str, ca: &Certificate) -> Result<Certificate> {
    let made = names(folder, name);
    let request = folder.join(format!("{name}.csr"));
    let extensions = folder.join(format!("{name}.ext"));
    fs::write(&extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-subj", &format!("/CN={common_name}")]).args(NEW_KEY);
    run(command.arg("-keyout").arg(&made.key).arg("-out").arg(&request))?;
    let mut command = Command::new("openssl");
    command.args(["x509", "-req", "-days", "2", "-CAcreateserial"]).arg("-in").arg(&request);
    command.arg("-CA").arg(&ca.certificate).arg("-CAkey").arg(&ca.key).arg("-extfile").arg(&extensions);
    run(command.arg("-out").arg(&made.certificate))?;
    Ok(made)
}

fn names(folder: &Path, name: &str) -> Certificate {
    Certificate { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("openssl is missing: run `make test`, which installs it")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
