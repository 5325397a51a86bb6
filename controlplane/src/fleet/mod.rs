//! Two planes in two processes: a data plane's door, and a control plane that attaches one or many.
//!
//! The same plain data crosses as within one process: commands down, views up. A control plane shows what each data
//! plane last said, with its age; what all of them say together is merged without loss, and only from those that answer.
//! The death of a control plane ends its connections and nothing else.

mod gate;
mod link;
mod merge;
mod socket;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataplane::config::{Address, Attach};
use dataplane::control::Command;
use rustls::pki_types::ServerName;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;

pub(crate) use self::gate::Gate;
use self::link::{Link, Seen, Target, Untold};
use self::merge::Numbers;
use crate::board::{Board, Phase, View};
use crate::configs::Configs;
use crate::exit::Failure;

/// A data plane that has not published for this long does not answer: its figures are shown with their age and count in
/// no sum. It publishes once a second.
pub(crate) const STALE: Duration = Duration::from_secs(3);
/// How often views are merged.
const MERGE_EVERY: Duration = Duration::from_millis(250);
/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// Time for one lookup.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);
/// Data planes behind one name.
const ADDRESSES_MAX: usize = 64;

/// The data planes that are attached or to be attached: cheap to clone.
#[derive(Clone)]
pub(crate) struct Fleet(Arc<Inner>);

struct Inner {
    links: Mutex<Vec<(Arc<Link>, AbortHandle)>>,
    names: Vec<Named>,
    numbers: Mutex<Numbers>,
    configs: Configs,
    board: Arc<Board>,
}

/// A host name whose addresses are attached.
struct Named {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// One data plane, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name; its address before it has said one.
    pub(crate) name: Arc<str>,
    /// Where it is.
    pub(crate) address: String,
    /// Version of Millrace.
    pub(crate) version: String,
    /// Commit that it was built from.
    pub(crate) commit: String,
    /// Its last view.
    pub(crate) view: Option<Arc<View>>,
    /// Time since then.
    pub(crate) age: Option<Duration>,
    /// Why it does not answer.
    pub(crate) absent: Option<String>,
    /// Keys in which its configuration differs from this control plane's.
    pub(crate) differs: Vec<String>,
}

/// Why a command reached not all that it was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// There is no data plane of this name.
    Unknown(String),
    /// This one does not answer.
    Absent(String),
    /// Too many commands wait at this one.
    Busy(String),
    /// None is attached at all.
    Nobody,
}

impl Fleet {
    /// Begins to attach what the configuration names; to be called within the runtime.
    ///
    /// # Errors
    /// A certificate cannot be used. Exit code 78.
    pub(crate) fn start(configs: Configs, board: Arc<Board>) -> Result<Fleet, Failure> {
        let mut names = Vec::new();
        let mut links = Vec::new();
        for attach in &configs.current().config.attach {
            match target(attach)? {
                Reach::At(target) => links.push(begin(attach.address.clone(), target)),
                Reach::Named(named) => names.push(named),
            }
        }
        let inner = Inner { links: Mutex::new(links), names, numbers: Mutex::default(), configs, board };
        Ok(Fleet(Arc::new(inner)))
    }

    /// Merges views and looks names up until the process ends.
    pub(crate) async fn run(self) {
        let mut merge = interval(MERGE_EVERY);
        merge.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut look_up = interval(LOOK_UP_EVERY);
        look_up.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = merge.tick() => self.publish(),
                _ = look_up.tick() => self.look_up().await,
            }
        }
    }

    /// Passes the control plane's own commands to every data plane that answers.
    pub(crate) async fn pass_on(self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            if let Err(unsent) = self.send(&command, None) {
                tracing::warn!(event = "command_unsent", reason = ?unsent, "a command reached not every data plane");
            }
        }
    }

    /// Every data plane that is to be attached.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.linked().into_iter().map(|(_, member)| member).collect()
    }

    /// The same, each with its link.
    fn linked(&self) -> Vec<(Arc<Link>, Member)> {
        let own = self.0.configs.current();
        let mut taken = BTreeMap::new();
        let member = |link: Arc<Link>| {
            let (seen, address) = (link.seen(), link.address.clone());
            let first = taken.entry(Arc::clone(&seen.name)).or_insert_with(|| address.clone()).clone();
            let member = Member {
                absent: absence(&seen, &first, &address),
                age: seen.age(),
                differs: link.differs(&own),
                name: seen.name,
                address,
                version: seen.version,
                commit: seen.commit,
                view: seen.view,
            };
            (link, member)
        };
        self.links().into_iter().map(member).collect()
    }

    /// The view of one data plane, as old as it may be; its shards are numbered as in the merged view.
    pub(crate) fn view_of(&self, name: &str) -> Option<View> {
        let known = self.members().into_iter().find(|member| &*member.name == name)?;
        let shown = Member { absent: None, ..known };
        Some(merge::merge(&[shown], &self.0.configs.current().config, &mut self.numbers()))
    }

    /// Sends a command to these data planes, or to all that answer.
    ///
    /// # Errors
    /// Some were not told: nobody when a name is unknown or absent, else those that still had room.
    pub(crate) fn send(&self, command: &Command, to: Option<&[String]>) -> Result<(), Unsent> {
        let linked = self.linked();
        let chosen: Vec<_> = match to {
            None => linked.iter().filter(|(_, member)| member.absent.is_none()).collect(),
            Some(names) => {
                let mut chosen = Vec::new();
                for name in names {
                    let found = linked.iter().find(|(_, member)| *member.name == **name);
                    let found = found.ok_or_else(|| Unsent::Unknown(name.clone()))?;
                    if found.1.absent.is_some() {
                        return Err(Unsent::Absent(name.clone()));
                    }
                    chosen.push(found);
                }
                chosen
            }
        };
        if chosen.is_empty() {
            return Err(Unsent::Nobody);
        }
        let mut untold = Ok(());
        for (link, member) in chosen {
            untold = untold.and(link.tell(command.clone()).map_err(|why| match why {
                Untold::Absent => Unsent::Absent(member.name.to_string()),
                Untold::Busy => Unsent::Busy(member.name.to_string()),
            }));
        }
        untold
    }

    /// Shows what all data planes that answer say together.
    fn publish(&self) {
        let (members, mut numbers) = (self.members(), self.numbers());
        numbers.keep(&members);
        let config = self.0.configs.current().config;
        self.0.board.replace(merge::merge(&members, &config, &mut numbers));
    }

    /// Attaches addresses that are new behind a name, and gives up those that are gone from it and do not answer.
    async fn look_up(&self) {
        for named in &self.0.names {
            let name = format!("{}:{}", named.host, named.port);
            let found = timeout(LOOK_UP_MAX, tokio::net::lookup_host(&name)).await;
            let addresses: Vec<SocketAddr> = match found {
                Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
                Ok(Err(error)) => {
                    tracing::warn!(event = "attach_lookup_failed", name, reason = %error, "a name of data planes cannot be looked up; those that are attached stay");
                    continue;
                }
                Err(_) => {
                    tracing::warn!(
                        event = "attach_lookup_failed",
                        name,
                        reason = "no answer in time",
                        "a name of data planes cannot be looked up; those that are attached stay"
                    );
                    continue;
                }
            };
            self.attach_those(named, &addresses);
        }
    }

    fn attach_those(&self, named: &Named, addresses: &[SocketAddr]) {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = format!("tcp:{}:{} ", named.host, named.port);
        let label = |address: &SocketAddr| format!("{prefix}({address})");
        for address in addresses {
            let label = label(address);
            if !links.iter().any(|(link, _)| link.address == label) {
                links.push(begin(label, Target::Tcp(*address, named.tls.clone())));
            }
        }
        links.retain(|(link, task)| {
            let is_of_name = link.address.starts_with(&prefix);
            let is_there = addresses.iter().any(|address| label(address) == link.address);
            let answers = link.seen().age().is_some_and(|age| age <= STALE);
            let keep = !is_of_name || is_there || answers;
            if !keep {
                task.abort();
            }
            keep
        });
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(|(link, _)| Arc::clone(link)).collect()
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Reach {
    At(Target),
    Named(Named),
}

fn target(attach: &Attach) -> Result<Reach, Failure> {
    let wrong = |text| Failure::config(format!("attach.address: {text}"), "see the comment of that field");
    match Address::parse(&attach.address).map_err(wrong)? {
        Address::Unix(path) => Ok(Reach::At(Target::Unix(path))),
        Address::Tcp { host, port } => {
            let tls = attach.tls.as_ref().map(|files| Target::tls(files, &host)).transpose()?;
            Ok(match host.parse() {
                Ok(address) => Reach::At(Target::Tcp(SocketAddr::new(address, port), tls)),
                Err(_) => Reach::Named(Named { host, port, tls }),
            })
        }
    }
}

fn begin(address: String, target: Target) -> (Arc<Link>, AbortHandle) {
    let link = Arc::new(Link::new(address, target));
    let task = tokio::spawn(Arc::clone(&link).run()).abort_handle();
    (link, task)
}

/// Why a data plane is not counted.
fn absence(seen: &Seen, first: &str, address: &str) -> Option<String> {
    if first != address {
        return Some(format!("{first} has the name {} too; give each data plane a door.name", seen.name));
    }
    if seen.view.as_ref().is_some_and(|view| view.phase == Phase::Ended) {
        return Some("it has ended".to_owned());
    }
    let trouble = seen.trouble.as_deref();
    match seen.age() {
        None => Some(trouble.unwrap_or("it has published nothing yet").to_owned()),
        Some(age) if age > STALE => {
            let seconds = age.as_secs();
            Some(format!("silent for {seconds} s: {}", trouble.unwrap_or("connected, and publishes nothing")))
        }
        Some(_) => None,
    }
}
