//! Three worked examples for each verb, shown at the end of `--help`.
//!
//! `controlplane/tests/cli.rs` runs them or, where they need AWS, their parts that do not.

pub(super) const TOP: &str = "\
Examples:
  millrace demo --for 20s
      the whole job on this machine, proved message by message
  millrace config default > millrace.toml && millrace check --config millrace.toml
      a configuration to start from, and what is wrong with it
  millrace run --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders --brokers b1:9092 --topic orders
      one pipeline without a file

Exit codes:
  0 ok   1 check failed   2 usage   69 other side unreachable   70 bug   75 drain deadline passed,
  leases handed back   77 refused by IAM or an ACL   78 bad config or platform   130 second signal";

pub(super) const DEMO: &str = "\
Examples:
  millrace demo --for 20s --json result.json
      20 seconds at the default rate, the figures as JSON
  millrace demo --rate max --size 1KiB --shards 1 --for 20s
      as fast as one shard goes
  millrace demo --fifo 1000 --chaos redeliver --for 20s
      a FIFO queue whose messages come twice, order checked per group

Exit code 0 only if every message was read back from Kafka unharmed and every duplicate has a cause.";

pub(super) const RUN: &str = "\
Examples:
  millrace run --config millrace.toml
      the usual way
  millrace run --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders --brokers b1:9092,b2:9092 --topic orders
      without a file; `millrace config show` with the same flags prints the file that this amounts to
  millrace run --config millrace.toml --listen 127.0.0.1:0 --port-file port --set drain.deadline=40s
      on a free port, which is written to `port`, with one key changed

SIGTERM or Ctrl-C drains: not ready, stop receiving, finish, hand the rest back, exit 0 (75 at the deadline).
A second one leaves at once (130). SIGUSR1 writes a snapshot to the log.";

pub(super) const PLANES: &str = "\
Examples:
  millrace dataplane --config millrace.toml --set door.listen=unix:/run/millrace/door.sock
      the shards alone; they go on whatever becomes of a control plane
  millrace controlplane --config millrace.toml --set 'attach=[{address=\"unix:/run/millrace/door.sock\"}]'
      API, accounts, history and alerts for it, on api.listen
  millrace controlplane --config fleet.toml --listen 127.0.0.1:0 --port-file port
      for all data planes of [[attach]] in fleet.toml, on a free port, which is written to `port`

SIGTERM drains a data plane as it does `run`; a control plane only leaves. Both read one file: each its own tables.";

pub(super) const CHECK: &str = "\
Examples:
  millrace check --config millrace.toml
      the file and this machine
  millrace check --config millrace.toml --connect -o json
      also credentials, each right, topic and limits; for scripts
  millrace check --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders --brokers b1:9092 --topic orders --connect
      without a file

--connect receives at most one message and gives it back at once; its receive count grows by one.
Exit code 0 all ticks, 1 something failed, 69 unreachable, 77 refused, 78 bad config or platform.";

pub(super) const VALIDATE: &str = "\
Examples:
  millrace validate --config millrace.toml
      the file and this machine
  millrace validate millrace.toml --no-env
      the file only: for a build server or `ExecStartPre=`
  millrace validate millrace.toml --no-env -o json
      the same for scripts";

pub(super) const CONFIG: &str = "\
Examples:
  millrace config default > millrace.toml
      every key with its default and one sentence
  millrace config schema > millrace.schema.json
      lets editors complete and check the file
  millrace config show --queue https://sqs.eu-west-1.amazonaws.com/1/orders --brokers b1:9092 --topic orders
      the file that these flags amount to
  millrace config show --running > millrace.toml && millrace config diff millrace.toml
      what an appliance runs, and what another file would change
  millrace config apply millrace.toml --comment \"longer drains\"
      shows what differs, asks, and puts it into force on every shard or on none
  millrace config history && millrace config rollback 7 --yes
      what was in force, and bringing one back

`diff`: exit code 0 nothing differs, 1 something does. `apply` and `rollback`: 0 in force on all shards, 1 refused or
not yet on all, 2 not confirmed, 69 unreachable, 77 refused by role.";

pub(super) const LOGIN: &str = "\
Examples:
  millrace login ada
      asks for the password and keeps the session in ~/.config/millrace/session.json, for this user only
  millrace login ada --api https://millrace.example.com < password
      without a terminal: the password from stdin
  millrace pipelines list --token-file ci.key
      with an API key, without a session; MILLRACE_TOKEN does the same

A token is never a flag: other processes could read it there.";

pub(super) const PIPELINES: &str = "\
Examples:
  millrace pipelines list
      state, counts and reasons
  millrace pipelines pause orders
      stop receiving; what is held is finished
  millrace pipelines drain orders -o json
      the same, and wait until nothing is held
  millrace pipelines rate orders --messages-per-s 500
      limits hold until the configuration changes them or the next start; without flags they are shown
  millrace pipelines settings orders > orders.toml
      its [[pipeline]] table, to be changed and sent back with `pipelines update orders orders.toml`
  millrace pipelines create refunds.toml --yes
      a pipeline more, on every shard or on none; in force until the next start reads the file
  millrace pipelines delete refunds
      it finishes what it holds and is gone; queue and topic stay

Exit code 0 when it shows on all shards, 1 when not yet; 69 unreachable, 77 refused.";

pub(super) const TOPICS: &str = "\
Examples:
  millrace topics list
      partitions, replicas, which pipeline uses it
  millrace topics create orders --partitions 12 --replication 3 --config-value retention.ms=604800000 --dry-run
      the cluster says whether it would
  millrace topics alter orders --config-value retention.ms=86400000
      shows now and then, and asks
  millrace topics add-partitions orders 24
      asks for the name of the topic, as `delete` does

--yes answers the question. Exit code 0 done, 1 refused by the cluster, 2 not confirmed, 69 unreachable, 77 refused by role.";

pub(super) const GROUPS: &str = "\
Examples:
  millrace groups list
      the consumer groups of the cluster
  millrace groups show billing
      its positions by partition, and how far it is behind
  millrace groups list --pipeline orders -o json
      where pipelines have several clusters";

pub(super) const QUEUES: &str = "\
Examples:
  millrace queues list
      what was asked of each
  millrace queues show orders
      depth, settings, dead-letter queue
  millrace queues show orders -o json
      the same for scripts";

pub(super) const REJECTED: &str = "\
Examples:
  millrace rejected list orders
      the newest 20, with the reason of each
  millrace rejected list orders --code schema_mismatch --limit 50
      those of one reason among 50
  millrace rejected show orders 3 1042 --uncover
      as it was sent: for admins, and the audit log tells

Without --uncover values are covered but those at masking.visible.";

pub(super) const TAP: &str = "\
Examples:
  millrace tap orders --limit 5
      five messages as they are delivered
  millrace tap orders --at rejected --for 30s
      what goes to the dead-letter topic within half a minute
  millrace tap orders -o json | jq .body.value
      a JSON document a line

Values are covered but those at masking.visible. Ends by itself; Ctrl-C ends it with exit code 0.";

pub(super) const ALERTS: &str = "\
Examples:
  millrace alerts list
      what is wrong now
  millrace alerts ack breaker-open orders --note \"brokers restart\"
      all see who has it, and nobody is told again
  millrace alerts silence pipeline=orders --for 2h --why \"upgrade of the brokers\"
      nobody is told about what matches
  millrace alerts rules && millrace alerts test breaker-open
      which rules hold, and whether a notice arrives";

pub(super) const LATENCY: &str = "\
Examples:
  millrace latency
      percentiles of each stage since the start
  millrace latency --pipeline orders --window 5m
      of the last five minutes
  millrace latency --hgrm --stage received_to_acked > received_to_acked.hgrm
      for HdrHistogram's plotters
  millrace latency --keep before-upgrade && millrace latency --against before-upgrade
      a baseline, and the figures of now beside it";

pub(super) const FIGURES: &str = "\
Examples:
  millrace cost
      requests, and what they cost at the prices of the configuration
  millrace shards
      core, what is held, longest stall
  millrace instances list
      phase, readiness, memory; `instances drain NAME` ends one as SIGTERM does, and asks for its name";

pub(super) const SESSIONS: &str = "\
Examples:
  millrace sessions list
      who is signed in from where
  millrace sessions list --mine
      my own: needs no admin
  millrace sessions end s5b1f0c2d3e4a6978 --yes
      at once";

pub(super) const USERS: &str = "\
Examples:
  millrace users add ada --role operator
      asks for a password of 12 characters or more
  millrace users change ada --role admin
      roles hold at once; sessions go on
  millrace users remove ada --yes
      also ends all sessions of the user";

pub(super) const KEYS: &str = "\
Examples:
  millrace keys create ci --role viewer --expires 720h > ci.key
      the key is printed this once
  millrace keys list
      how each begins, who made it, when it ends
  millrace keys revoke k5b1f0c2d3e4a6978 --yes
      at once and for good";

pub(super) const AUDIT: &str = "\
Examples:
  millrace audit
      the 50 newest entries
  millrace audit --operation pipelines_pause --limit 10
      who paused what
  millrace audit --principal ada -o json
      with what was there before and after";

pub(super) const BACKUP: &str = "\
Examples:
  millrace backup
      users, keys (as hashes), audit log and history, into the folder `backups` of the store
  millrace backup --list
      what there is
  millrace restore millrace-20261126t140000-000z.db --dry-run
      what would change; without --dry-run it is asked for first

A restore ends all sessions, revives nothing that was revoked and does not rewrite the audit log.";

pub(super) const OPENAPI: &str = "\
Examples:
  millrace openapi > openapi.json
      for generators of clients
  millrace openapi | jq '.paths | keys'
      all routes
  millrace openapi | diff - controlplane/openapi.json
      whether the one that is checked in is the present one";

pub(super) const TOP_VERB: &str = "\
Examples:
  millrace top
      the appliance on this machine; q leaves
  millrace top --api https://millrace.example.com
      another one
  millrace top --once -o json
      the figures of one second for scripts";

pub(super) const PROBE: &str = "\
Examples:
  millrace probe live
      for a container's health check: needs neither curl nor a shell
  millrace probe ready --listen 127.0.0.1:8081
      of an appliance that listens elsewhere
  millrace probe ready --config /etc/millrace/millrace.toml
      of the appliance with this file; over TLS if it has [api.tls]";

pub(super) const VERSION: &str = "\
Examples:
  millrace version
      for people
  millrace version -o json
      for scripts
  millrace --version
      name and number only";

pub(super) const COMPLETIONS: &str = "\
Examples:
  millrace completions bash > /etc/bash_completion.d/millrace
      for all users of bash
  millrace completions zsh > ~/.zfunc/_millrace
      for zsh
  millrace completions fish > ~/.config/fish/completions/millrace.fish
      for fish";

pub(super) const MAN: &str = "\
Examples:
  millrace man --out /usr/local/share/man/man1
      for all users
  millrace man --out . && man ./millrace-run.1
      to look at one
  millrace man --out target/man
      for a package";
