//! The verb `top`: a live view of a running appliance in a terminal, or once as text.
//!
//! Asks the API once a second with the rights of whoever looks; changes nothing. What is shown is made in `model`, which
//! is pure; `draw` puts it on a terminal, `plain` on a pipe.

mod draw;
mod model;
mod plain;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::sleep;

use self::model::{Answers, Model};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::remote::{Api, Remote};
use crate::term;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print the figures of one second as text and end; also done when stdout is no terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Shows the live view until it is left.
///
/// # Errors
/// The other side is unreachable (69), refuses (77), or the terminal cannot be used.
pub(crate) fn run(args: &TopArgs, output: Output) -> Result<u8, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::bug(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(async {
        let mut api = Api::open(&args.remote)?;
        let mut model = Model::default();
        // The first look comes before the terminal is taken, so that a refusal is read where it belongs.
        look(&mut api, &mut model).await?;
        let is_live = !args.once && output == Output::Text && std::io::stdout().is_terminal();
        if is_live { live(&mut api, &mut model).await } else { once(&mut api, &mut model, output).await }
    })
}

/// Rates need two looks.
async fn once(api: &mut Api, model: &mut Model, output: Output) -> Result<u8, Failure> {
    sleep(EVERY).await;
    look(api, model).await?;
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&model.screen());
            term::line(&text.map_err(|error| Failure::bug(error.to_string()))?);
        }
        _ => term::out(&plain::text(&model.screen())),
    }
    Ok(exit::OK)
}

async fn live(api: &mut Api, model: &mut Model) -> Result<u8, Failure> {
    let mut terminal = ratatui::try_init().map_err(|error| {
        Failure::config(format!("the terminal cannot be used: {error}"), "millrace top --once")
    })?;
    let ended = watch(&mut terminal, api, model).await;
    ratatui::restore();
    ended
}

async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    api: &mut Api,
    model: &mut Model,
) -> Result<u8, Failure> {
    let broken = |error: std::io::Error| Failure::bug(format!("the terminal: {error}"));
    let mut next = Instant::now() + EVERY;
    loop {
        terminal.draw(|frame| draw::screen(frame, model)).map_err(broken)?;
        let wait = next.saturating_duration_since(Instant::now());
        if event::poll(wait).map_err(broken)? {
            if let Event::Key(key) = event::read().map_err(broken)?
                && key.kind == KeyEventKind::Press
                && pressed(model, key)
            {
                return Ok(exit::OK);
            }
            continue;
        }
        next = Instant::now() + EVERY;
        if model.is_frozen() {
            continue;
        }
        // An appliance that is away for a moment is shown as away, not left.
        match look(api, model).await {
            Ok(()) => model.trouble = None,
            Err(failure) if failure.code == exit::REFUSED => return Err(failure),
            Err(failure) => model.trouble = Some(failure.text),
        }
    }
}

/// Obeys a key; returns whether it ends the view.
fn pressed(model: &mut Model, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Up | KeyCode::Char('k') => model.select(-1),
        KeyCode::Down | KeyCode::Char('j') => model.select(1),
        KeyCode::Char('s') => model.sort_next(),
        KeyCode::Char('f') | KeyCode::Char(' ') => model.freeze(),
        _ => {}
    }
    false
}

async fn look(api: &mut Api, model: &mut Model) -> Result<(), Failure> {
    let pipelines = api.get("/api/v1/pipelines").await?;
    let shards = api.get("/api/v1/shards").await?;
    let alerts = api.get("/api/v1/alerts").await?;
    let cost = api.get("/api/v1/cost").await?;
    model.adopt(Answers { pipelines, shards, alerts, cost, curves: Value::Null }, Instant::now());
    // Within the first seconds nothing is kept of the last minute yet.
    let path = match model.selected_name() {
        Some(name) => format!("/api/v1/latency/curve?window_s=60&ticks=1&pipeline={name}"),
        None => "/api/v1/latency/curve?window_s=60&ticks=1".to_owned(),
    };
    match api.get(&path).await {
        Ok(curves) => model.adopt_curves(curves),
        Err(failure) if failure.code == exit::CHECK_FAILED => model.adopt_curves(Value::Null),
        Err(failure) => return Err(failure),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        let mut model = model::fixture::model();
        assert!(pressed(&mut model, key(KeyCode::Char('q'))));
        assert!(pressed(&mut model, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!pressed(&mut model, key(KeyCode::Char('c'))));
        assert_eq!(model.selected_name().as_deref(), Some("orders"));
        assert!(!pressed(&mut model, key(KeyCode::Down)));
        assert_eq!(model.selected_name().as_deref(), Some("refunds"));
        pressed(&mut model, key(KeyCode::Down));
        assert_eq!(model.selected_name().as_deref(), Some("refunds"), "the last row is the last");
        pressed(&mut model, key(KeyCode::Char('f')));
        assert!(model.is_frozen());
    }
}
