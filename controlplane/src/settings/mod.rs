//! Where the configuration comes from: a file or three flags, then environment, then `--set`.
//!
//! A text that is wrong is refused whole, with line, caret and the nearest known key; a text that parses but
//! cannot work is refused with all its problems at once. Nothing is connected here.

mod manual;
mod overrides;
mod render;
mod text;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use dataplane::config::{Api, Config, Pipeline};

use crate::exit::Failure;

pub(crate) use manual::schema;
pub(crate) use render::{default_file, markdown};

/// Used when no file is named and this one is there.
pub(crate) const DEFAULT_FILE: &str = "/etc/millrace/millrace.toml";

/// Name of the pipeline that the flags make.
const DIRECT_NAME: &str = "main";

/// Largest config file. 64 pipelines with every key take under 300 KiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file, if one is named.
    pub(crate) file: Option<PathBuf>,
    /// Queue URL of a run without a file.
    pub(crate) queue: Option<String>,
    /// Brokers of a run without a file.
    pub(crate) brokers: Vec<String>,
    /// Topic of a run without a file.
    pub(crate) topic: Option<String>,
    /// `KEY=VALUE` changes, in order.
    pub(crate) sets: Vec<String>,
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The configuration; it has no problems.
    pub(crate) config: Config,
    /// For messages: the file's name or `the command line`.
    pub(crate) origin: String,
    /// What was asked, to be asked again.
    pub(crate) sources: Sources,
}

impl Sources {
    /// Reads the configuration and refuses one that cannot work.
    ///
    /// # Errors
    /// Exit code 2 when neither file nor flags are given, 78 otherwise.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let loaded = self.read()?;
        let problems = loaded.config.problems();
        if problems.is_empty() {
            return Ok(loaded);
        }
        let list: String = problems.iter().map(|problem| format!("\n  - {problem}")).collect();
        let count = problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        Err(Failure::config(format!("{}: {count} {noun}{list}", loaded.origin), ""))
    }

    /// Reads what concerns the listener, for who asks a running appliance: what is wrong elsewhere in the file does
    /// not matter, and without a file environment and changes are all there is.
    ///
    /// # Errors
    /// Exit code 78: the file cannot be read or is no configuration.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        if self.file.is_some() || Path::new(DEFAULT_FILE).exists() {
            return Ok(self.read()?.config.api);
        }
        let mut sets = overrides::from_environment(std::env::vars());
        sets.extend(self.sets.iter().cloned());
        sets.retain(|set| set.starts_with("api."));
        Ok(text::parse("the environment", "", &sets)?.api)
    }

    /// Reads the configuration without asking whether it can work.
    fn read(&self) -> Result<Loaded, Failure> {
        let (origin, text) = self.source()?;
        let mut sets = overrides::from_environment(std::env::vars());
        sets.extend(self.sets.iter().cloned());
        let config = text::parse(&origin, &text, &sets)?;
        Ok(Loaded { config, origin, sources: self.clone() })
    }

    /// The TOML text and where it came from.
    fn source(&self) -> Result<(String, String), Failure> {
        if let Some(queue) = &self.queue {
            let brokers: Vec<&str> = self.brokers.iter().map(String::as_str).collect();
            // A check may leave the topic out; then it looks at no topic and nothing is started.
            let topic = self.topic.as_deref().unwrap_or("unnamed");
            let pipeline = Pipeline::new(DIRECT_NAME, queue, &brokers, topic);
            let config = Config { pipeline: vec![pipeline], ..Config::default() };
            return Ok(("the command line".to_owned(), show(&config)?));
        }
        let file = match &self.file {
            Some(file) => file.clone(),
            None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
            None => {
                return Err(Failure::new(
                    crate::exit::USAGE,
                    format!("there is no configuration: no --config, no --queue, and no {DEFAULT_FILE}"),
                    "`millrace config default > millrace.toml`, edit it and name it with --config; or give \
                     --queue URL --brokers HOSTS --topic NAME",
                ));
            }
        };
        Ok((file.display().to_string(), read_file(&file)?))
    }
}

/// Reads a file's text as it is, without environment and changes.
///
/// # Errors
/// Exit code 78: it is larger than a file may be, or is no configuration.
pub(crate) fn read_text(origin: &str, text: &str) -> Result<Config, Failure> {
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::config(
            format!("{origin}: larger than {FILE_BYTES_MAX} bytes"),
            "make it smaller",
        ));
    }
    text::parse(origin, text, &[])
}

/// The configuration as a TOML file.
///
/// # Errors
/// Never for a configuration that was read; a bug otherwise.
pub(crate) fn show(config: &Config) -> Result<String, Failure> {
    toml::to_string(config).map_err(|error| Failure::bug(format!("the config cannot be written: {error}")))
}

/// The pipelines of a configuration, as their tables of a file.
///
/// # Errors
/// Never for a configuration that was read; a bug otherwise.
pub(crate) fn show_pipelines(config: &Config) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Part<'a> {
        pipeline: &'a [dataplane::config::Pipeline],
    }
    let part = Part { pipeline: &config.pipeline };
    toml::to_string(&part).map_err(|error| Failure::bug(format!("the config cannot be written: {error}")))
}

fn read_file(file: &Path) -> Result<String, Failure> {
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::config(
            format!("{}: {error}", file.display()),
            "name a readable TOML file with --config; `millrace config default` prints one",
        )
    };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(|error| refuse(&error))?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse(&format!("larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct() -> Sources {
        Sources {
            queue: Some("https://sqs.eu-west-1.amazonaws.com/1/orders".into()),
            brokers: vec!["b1:9092".into(), "b2:9092".into()],
            topic: Some("orders".into()),
            ..Sources::default()
        }
    }

    #[test]
    fn three_flags_make_a_whole_configuration() {
        let loaded = direct().load().unwrap();
        let expected = Pipeline::new(
            "main",
            "https://sqs.eu-west-1.amazonaws.com/1/orders",
            &["b1:9092", "b2:9092"],
            "orders",
        );
        assert_eq!(loaded.config.pipeline, [expected]);
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        let mut sources = direct();
        sources.sets = vec![
            "drain.deadline=40s".into(),
            "pipeline.main.kafka.linger=9ms".into(),
            "pipeline.0.kafka.options.\"socket.keepalive.enable\"=\"true\"".into(),
        ];
        let config = sources.load().unwrap().config;
        assert_eq!(config.drain.deadline.to_string(), "40s");
        assert_eq!(config.pipeline[0].kafka.linger.to_string(), "9ms");
        let again: Config = toml::from_str(&show(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn all_problems_are_listed_at_once() {
        let mut sources = direct();
        sources.topic = Some("not a topic".into());
        sources.sets = vec!["api.listen=0.0.0.0:80".into()];
        let failure = sources.load().unwrap_err();
        assert_eq!(failure.code, 78);
        assert!(failure.text.starts_with("the command line: 2 problems"), "{failure}");
        assert!(failure.text.contains("\n  - api.listen: "), "{failure}");
        assert!(failure.text.contains("\n  - pipeline.main.route.topic: "), "{failure}");
    }

    #[test]
    fn the_listener_is_known_without_a_file_and_from_one_that_is_wrong_elsewhere() {
        let sets = vec!["api.listen=127.0.0.1:9".to_owned(), "pipeline.main.kafka.linger=9ms".to_owned()];
        let without = Sources { sets, ..Sources::default() };
        assert_eq!(without.api().unwrap().listen, "127.0.0.1:9");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.toml");
        // No pipeline at all: nothing that could run.
        fs::write(&file, "[api]\nlisten = \"127.0.0.1:7\"\n").unwrap();
        let with = Sources { file: Some(file), ..Sources::default() };
        assert!(with.load().is_err());
        assert_eq!(with.api().unwrap().listen, "127.0.0.1:7");
    }

    #[test]
    fn a_missing_file_is_named_with_the_way_out() {
        let sources = Sources { file: Some("/nowhere/millrace.toml".into()), ..Sources::default() };
        let failure = sources.load().unwrap_err();
        assert_eq!(failure.code, 78);
        assert!(failure.to_string().contains("/nowhere/millrace.toml"), "{failure}");
        assert!(failure.remedy.contains("config default"), "{failure}");
    }
}
