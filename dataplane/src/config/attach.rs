//! The two planes as separate processes: where a data plane is reached, and which ones a control plane attaches.
//!
//! Level 0. Reading and writing at these addresses is the control plane's work.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Found;

/// Data planes that one control plane attaches.
const ATTACH_MAX: usize = 64;

/// Where control planes in other processes attach to this data plane. Read at start; a change needs a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// `unix:/PATH` for a socket that only this user and root can open, or `tcp:ADDRESS:PORT`. TCP needs
    /// `[door.tls]`, except on loopback.
    pub listen: String,
    /// Name of this data plane, told from others by it: 1 to 64 letters, digits, `.`, `-` and `_`. Unset: the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Certificates of both sides, for TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<MutualTls>,
}

/// A data plane that `millrace controlplane` attaches, or several behind one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// `unix:/PATH`, or `tcp:HOST:PORT`. Every address of a host name is attached, and the name is looked up again
    /// every 5 s: data planes behind it may come and go.
    pub address: String,
    /// Certificates of both sides, for TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<MutualTls>,
}

/// Certificates of both sides: each must be signed by the authority of the other (mTLS).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// Our certificate and its chain, in PEM.
    pub cert_file: PathBuf,
    /// Private key of the certificate, in PEM.
    pub key_file: PathBuf,
    /// Authorities, in PEM, one of which must have signed the certificate of the other side.
    pub ca_file: PathBuf,
    /// DNS names, one of which the certificate of the other side must hold. A door must name them. An attaching
    /// control plane may give one, for a host whose certificate has another name; unset: the host of `address`.
    #[serde(default)]
    pub peer_names: Vec<String>,
}

/// An address, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Path of a Unix socket.
    Unix(PathBuf),
    /// Host or IP address, and port.
    Tcp {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Address {
    /// Reads `unix:/PATH` or `tcp:HOST:PORT`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Address, String> {
        let wrong = || format!("`{text}` is neither unix:/PATH nor tcp:HOST:PORT");
        if let Some(path) = text.strip_prefix("unix:") {
            // A socket's path is at most 107 bytes. Source: unix(7).
            if !path.starts_with('/') || path.len() > 107 {
                return Err(format!("`{text}`: the path must begin with / and have at most 107 bytes"));
            }
            return Ok(Address::Unix(path.into()));
        }
        let rest = text.strip_prefix("tcp:").ok_or_else(wrong)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| format!("`{text}`: `{port}` is no port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let legal = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        if host.is_empty() || host.len() > 253 || !host.chars().all(legal) {
            return Err(wrong());
        }
        Ok(Address::Tcp { host, port })
    }

    /// Whether what is said there may be in clear: nobody else can listen.
    fn is_private(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => {
                host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

/// What is wrong with these tables.
pub(super) fn problems(found: &mut Found, door: Option<&Door>, attach: &[Attach]) {
    if let Some(door) = door {
        address(found, "door.listen", "door.tls", &door.listen, door.tls.as_ref());
        let is_number = |listen: &str| match Address::parse(listen) {
            Ok(Address::Tcp { host, .. }) => host.parse::<IpAddr>().is_ok(),
            _ => true,
        };
        if !is_number(&door.listen) {
            found.add(
                "door.listen",
                format!("`{}`: give the address as a number, e.g. tcp:0.0.0.0:7300", door.listen),
            );
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if door
            .name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.len() > 64 || !name.chars().all(legal))
        {
            let name = door.name.as_deref().unwrap_or_default();
            found.add("door.name", format!("`{name}` must be 1 to 64 letters, digits, `.`, `-` and `_`"));
        }
        if door.tls.as_ref().is_some_and(|tls| tls.peer_names.is_empty()) {
            let text = "it is empty; name what the certificates of control planes hold, or anyone whom the authority \
                        has signed could steer this data plane";
            found.add("door.tls.peer_names", text.to_owned());
        }
    }
    if attach.len() > ATTACH_MAX {
        found.add("attach", format!("there are {}; at most {ATTACH_MAX} are allowed", attach.len()));
    }
    let mut seen = HashSet::new();
    for one in attach {
        address(found, "attach.address", "attach.tls", &one.address, one.tls.as_ref());
        if !seen.insert(&one.address) {
            found.add("attach.address", format!("`{}` is there twice", one.address));
        }
        if one.tls.as_ref().is_some_and(|tls| tls.peer_names.len() > 1) {
            found.add(
                "attach.tls.peer_names",
                "give at most one: the name of the data planes behind `address`".to_owned(),
            );
        }
    }
}

fn address(found: &mut Found, field: &str, tls_field: &str, text: &str, tls: Option<&MutualTls>) {
    match Address::parse(text) {
        Err(problem) => found.add(field, problem),
        Ok(Address::Unix(_)) if tls.is_some() => {
            found.add(tls_field, format!("{text} is a Unix socket, which needs no TLS; remove the table"));
        }
        Ok(address) if !address.is_private() && tls.is_none() => found.add(
            field,
            format!("{text} is not loopback: commands would travel in clear and anyone could give them; add [{tls_field}]"),
        ),
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(door: Option<&Door>, attach: &[Attach]) -> Vec<String> {
        let mut found = Found(Vec::new());
        problems(&mut found, door, attach);
        found.0.into_iter().map(|problem| problem.field).collect()
    }

    fn tls(peers: &[&str]) -> MutualTls {
        MutualTls {
            cert_file: "/c".into(),
            key_file: "/k".into(),
            ca_file: "/a".into(),
            peer_names: peers.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn door(listen: &str, tls: Option<MutualTls>) -> Door {
        Door { listen: listen.into(), name: None, tls }
    }

    #[test]
    fn addresses_read_back_as_written() {
        for text in
            ["unix:/run/millrace/door.sock", "tcp:planes.internal:7300", "tcp:[::1]:7300", "tcp:0.0.0.0:0"]
        {
            assert_eq!(Address::parse(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "unix:door", "tcp:7300", "tcp::7300", "tcp:a b:1", "http://x:1", "tcp:host:70000"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse(&format!("unix:/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn what_is_not_private_is_encrypted_and_names_who_may_come() {
        assert!(fields(Some(&door("unix:/run/a.sock", None)), &[]).is_empty());
        assert!(fields(Some(&door("tcp:127.0.0.1:7300", None)), &[]).is_empty());
        assert!(fields(Some(&door("tcp:0.0.0.0:7300", Some(tls(&["control"])))), &[]).is_empty());
        assert_eq!(fields(Some(&door("tcp:0.0.0.0:7300", None)), &[]), ["door.listen"]);
        assert_eq!(fields(Some(&door("tcp:0.0.0.0:7300", Some(tls(&[])))), &[]), ["door.tls.peer_names"]);
        assert_eq!(fields(Some(&door("unix:/a", Some(tls(&["x"])))), &[]), ["door.tls"]);
        assert_eq!(fields(Some(&door("tcp:planes:1", Some(tls(&["x"])))), &[]), ["door.listen"]);
        let named = Door { name: Some("a b".into()), ..door("unix:/a", None) };
        assert_eq!(fields(Some(&named), &[]), ["door.name"]);
    }

    #[test]
    fn attached_addresses_differ_and_are_private_or_encrypted() {
        let one = |address: &str, tls| Attach { address: address.into(), tls };
        assert!(fields(None, &[one("unix:/a", None), one("tcp:planes:1", Some(tls(&[])))]).is_empty());
        assert_eq!(fields(None, &[one("tcp:planes:1", None)]), ["attach.address"]);
        assert_eq!(fields(None, &[one("unix:/a", None), one("unix:/a", None)]), ["attach.address"]);
        assert_eq!(fields(None, &[one("tcp:h:1", Some(tls(&["a", "b"])))]), ["attach.tls.peer_names"]);
        let many: Vec<Attach> = (0..65).map(|number| one(&format!("unix:/{number}"), None)).collect();
        assert_eq!(fields(None, &many), ["attach"]);
    }
}
