//! `tidegate top`: the live streams of a running gateway in the terminal, to look at and to cancel.
//!
//! What is shown is plain data until the last step: lists are read, a view of them is changed by keys,
//! the view becomes lines, and only `terminal` knows of a terminal.
//!
//! - [`lists`]: what the gateway says.
//! - [`view`]: order, filter, selection, and what keys do to them.
//! - [`column`], [`table`], [`quantity`]: streams as rows.
//! - [`screen`], [`line`]: the view as lines of a screen.
//! - [`terminal`]: the terminal itself.

mod column;
mod line;
mod lists;
mod quantity;
mod screen;
mod table;
mod terminal;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt;
use tidegate_protocol::StreamId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::lists::{Lists, Models, Streams};
use self::terminal::{Terminal, ask_to_stop};
use self::view::{View, Wish};
use super::client::{Client, Reach};
use super::output::print;
use super::problem::Problem;
use super::signals::{ENDS, STOP, Signals};
use crate::config::Origin;
use crate::telemetry::logging::colours_are_wanted;

/// One list is asked for at a time, and cancels come from one pair of hands.
const REPORTS: usize = 8;

/// The live list, and how often it is looked at.
#[derive(Debug, Args)]
pub struct Top {
    #[command(flatten)]
    reach: Reach,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Print one table of the streams and exit
    #[arg(long)]
    once: bool,
}

/// What comes back from the gateway.
enum Report {
    Lists(Result<Lists, Problem>),
    Cancelled(String, Result<(), Problem>),
}

impl Top {
    /// Shows the list until it is left.
    ///
    /// # Errors
    /// Where there is no terminal, and for one table where there is no list.
    pub async fn run(self, origin: &Origin) -> Result<(), Problem> {
        let client = Client::new(&self.reach, origin)?;
        if self.once { once(&client).await } else { self.watch(&client).await }
    }

    async fn watch(&self, client: &Client) -> Result<(), Problem> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let message = "this is no terminal; --once prints one table".to_owned();
            return Err(Problem::Usage(message));
        }
        let mut signals = Signals::listen(ENDS.into_iter().chain([STOP]));
        let mut terminal = Terminal::enter(colours_are_wanted())?;
        let mut keys = EventStream::new();
        let (to, mut reports) = mpsc::channel(REPORTS);
        let mut look = interval(self.interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut view = View::default();
        let mut is_asked = false;
        loop {
            terminal.draw(&screen::draw(&view, client.base(), Terminal::size()?))?;
            tokio::select! {
                signal = signals.next() => match signal {
                    STOP => terminal::stop()?,
                    end => return Err(Problem::Signal(end)),
                },
                event = keys.next() => match event {
                    Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                        match view.press(key) {
                            Some(Wish::Quit) => return Ok(()),
                            Some(Wish::Stop) => ask_to_stop()?,
                            Some(Wish::Cancel(id)) => cancel(client, id, &to),
                            None => {}
                        }
                    }
                    // Another size: all is drawn anew.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                },
                _ = look.tick(), if !is_asked => {
                    is_asked = true;
                    let (client, to) = (client.clone(), to.clone());
                    actix_rt::spawn(async move { to.send(Report::Lists(read(&client).await)).await });
                }
                report = reports.recv() => {
                    is_asked &= !matches!(report, Some(Report::Lists(_)));
                    if let Some(report) = report {
                        take(&mut view, report);
                    }
                }
            }
        }
    }
}

fn take(view: &mut View, report: Report) {
    match report {
        Report::Lists(Ok(lists)) => {
            view.failure = None;
            view.update(lists);
        }
        Report::Lists(Err(problem)) => view.failure = Some(problem.line()),
        Report::Cancelled(id, Ok(())) => view.notice = Some(format!("cancelled {id}")),
        Report::Cancelled(id, Err(problem)) => {
            view.notice = Some(format!("not cancelled {id}: {}", problem.line()));
        }
    }
}

/// Without waiting for it: the list goes on meanwhile.
fn cancel(client: &Client, id: String, to: &mpsc::Sender<Report>) {
    let (client, to) = (client.clone(), to.clone());
    actix_rt::spawn(async move {
        let cancelled = match id.parse::<StreamId>() {
            Ok(id) => client.cancel(id).await,
            Err(error) => Err(Problem::Strange(error.to_string())),
        };
        to.send(Report::Cancelled(id, cancelled)).await
    });
}

async fn read(client: &Client) -> Result<Lists, Problem> {
    let streams: Streams = client.list("/api/chat/streams").await?;
    let models: Models = client.list("/api/models").await?;
    Ok(Lists { streams, models: models.models })
}

async fn once(client: &Client) -> Result<(), Problem> {
    let mut view = View::default();
    view.update(read(client).await?);
    print(&table::plain(&view.rows()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let range = 0.1..=3600.0;
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| range.contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be 0.1 to 3600".to_owned())
}
