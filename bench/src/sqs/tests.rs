//! Claims about the server: its queues under a clock of the test's own, and its wire over real sockets.

mod attributes;
mod batches;
mod client;
mod clock;
mod faults;
mod fifo;
mod http;
mod ledger;
mod long_polls;
mod protocols;
mod queues;
mod tls;
