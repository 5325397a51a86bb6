//! Rate limits: by address before anything is looked at, by principal after, and a strict one for signing in.
//!
//! The arithmetic is governor's (GCRA). What is added is a bound on memory: past a number of keys, those that were
//! not seen yet share one bucket until old ones are forgotten. `X-Forwarded-For` is never read.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::{Code, Problem};

/// Keys remembered by each limit. One takes about 100 bytes.
const KEYS_MAX: usize = 20_000;
/// Time between two attempts to forget old keys when there are too many.
const SHRINK_EVERY: Duration = Duration::from_secs(1);

type ClockInstant = <MonotonicClock as Clock>::Instant;
type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<ClockInstant>>;
type Shared = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<ClockInstant>>;

/// How many requests are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Requests a minute that are taken for good.
    pub(crate) per_minute: u32,
    /// Requests at once.
    pub(crate) burst: u32,
}

/// One limit over many keys.
struct Limit<K: Hash + Eq + Clone> {
    keyed: Keyed<K>,
    shared: Shared,
    shrunk: Mutex<Option<Instant>>,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(allowance: Allowance) -> Limit<K> {
        let number = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(number(allowance.per_minute)).allow_burst(number(allowance.burst));
        Limit {
            keyed: RateLimiter::hashmap_with_clock(quota, MonotonicClock),
            shared: RateLimiter::direct_with_clock(quota, MonotonicClock),
            shrunk: Mutex::new(None),
        }
    }

    /// Counts one request.
    fn take(&self, key: &K) -> Result<(), Problem> {
        let refused =
            if self.is_crowded() { self.shared.check().err() } else { self.keyed.check_key(key).err() };
        match refused {
            None => Ok(()),
            Some(until) => {
                let wait = until.wait_time_from(MonotonicClock.now());
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let text = format!("too many requests; the next one is taken in {} s", seconds.max(1));
                Err(Problem::new(Code::RateLimited, text).after(seconds))
            }
        }
    }

    fn is_crowded(&self) -> bool {
        if self.keyed.len() < KEYS_MAX {
            return false;
        }
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        if shrunk.is_none_or(|at| at.elapsed() >= SHRINK_EVERY) {
            self.keyed.retain_recent();
            *shrunk = Some(Instant::now());
        }
        self.keyed.len() >= KEYS_MAX
    }
}

/// All limits of the API.
pub(crate) struct Rates {
    address: Limit<IpAddr>,
    principal: Limit<String>,
    login_address: Limit<IpAddr>,
    login_name: Limit<String>,
}

impl Rates {
    /// Limits for requests of one principal; those of an address and of signing in follow from it.
    pub(crate) fn new(principal: Allowance) -> Rates {
        // Several people may sit behind one address.
        let address = Allowance { per_minute: principal.per_minute * 4, burst: principal.burst * 4 };
        Rates {
            address: Limit::new(address),
            principal: Limit::new(principal),
            // A person mistypes a few times; a guesser needs thousands.
            login_address: Limit::new(Allowance { per_minute: 10, burst: 10 }),
            login_name: Limit::new(Allowance { per_minute: 6, burst: 10 }),
        }
    }

    /// Counts a request of an address, before it is read.
    ///
    /// # Errors
    /// Too many.
    pub(crate) fn of_address(&self, address: IpAddr) -> Result<(), Problem> {
        self.address.take(&network(address))
    }

    /// Counts a request of a principal.
    ///
    /// # Errors
    /// Too many.
    pub(crate) fn of_principal(&self, name: &str) -> Result<(), Problem> {
        self.principal.take(&name.to_owned())
    }

    /// Counts an attempt to sign in: by address, then by name, so that neither a guesser with many names nor
    /// one with many addresses gets far.
    ///
    /// # Errors
    /// Too many.
    pub(crate) fn of_login(&self, address: IpAddr, name: &str) -> Result<(), Problem> {
        self.login_address.take(&network(address))?;
        self.login_name.take(&name.to_ascii_lowercase())
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("addresses", &self.address.keyed.len()).finish_non_exhaustive()
    }
}

/// An address as one subscriber has it: an IPv6 subscriber has a /64. Source: RFC 6177.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(burst: u32) -> Rates {
        Rates::new(Allowance { per_minute: 60, burst })
    }

    #[test]
    fn past_the_burst_requests_wait_as_long_as_they_are_told() {
        let rates = rates(3);
        for _ in 0..3 {
            rates.of_principal("ada").unwrap();
        }
        let refused = rates.of_principal("ada").unwrap_err();
        assert_eq!((refused.code(), refused.retry_after()), (Code::RateLimited, Some(1)));
        rates.of_principal("bob").unwrap();
    }

    #[test]
    fn a_whole_ipv6_network_is_one_guesser() {
        let rates = rates(100);
        let host = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, n]);
        for n in 0..10 {
            rates.of_login(host(n), &format!("user{n}")).unwrap();
        }
        assert!(rates.of_login(host(11), "user11").is_err());
        rates.of_login(IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]), "user12").unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(network(mapped), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn one_name_from_many_addresses_is_limited_too() {
        let rates = rates(100);
        let refused =
            (0..100).filter(|n| rates.of_login(IpAddr::from([10, 0, 0, *n]), "Ada").is_err()).count();
        assert_eq!(refused, 90);
    }

    #[test]
    fn a_million_keys_do_not_grow_the_table() {
        let limit = Limit::<u32>::new(Allowance { per_minute: 60, burst: 5 });
        let taken = (0..1_000_000_u32).filter(|key| limit.take(key).is_ok()).count();
        assert!(limit.keyed.len() <= KEYS_MAX, "{}", limit.keyed.len());
        assert!(taken < KEYS_MAX * 3, "{taken}: those that are not remembered share one bucket");
    }
}
