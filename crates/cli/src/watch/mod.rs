//! `bartizan watch`: rows as they come, how many over time, the most frequent values, and a filter that keys change.
//!
//! Two threads besides this one: one asks the server ([`feed`]), one reads keys. This one draws, at most ten times a
//! second, and only when something changed. A terminal that takes long to draw holds up neither of them: frames are
//! left out, rows are not.

mod app;
mod chips;
mod feed;
mod ring;
#[cfg(test)]
mod tests;
mod view;

use crate::{
    args::{ConnectionArgs, WatchArgs},
    client::{self, Client},
    clock,
    connection::Connection,
    failure::Failure,
    render::Style,
    syntax,
};
use anyhow::Context as _;
use app::App;
use bartizan_model::Kind;
use feed::Shared;
use ratatui::{
    Terminal,
    backend::TermionBackend,
    termion::{event::Key, input::TermRead as _, raw::IntoRawMode as _, screen::IntoAlternateScreen as _},
};
use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::watch;

/// How often it is drawn at most.
const FRAME: Duration = Duration::from_millis(100);

pub(crate) fn watch(args: &ConnectionArgs, watch: &WatchArgs, style: Style) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let text = "watch needs a terminal; `bartizan tail` writes rows to a pipe";
        return Err(Failure::Usage(text.into()));
    }
    syntax::check_before_asking(Kind::Events, &watch.filter)?;
    let client = Client::new(Connection::find(args)?)?;
    let (_, zone) = clock::now();
    let mut app = App::new(&watch.filter, style.utc, zone);
    let shared = Arc::new(Shared::default());
    let (wish, wanted) = watch::channel(app.wanted());
    let feeding = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || client::block_on(feed::feed(&client, &shared, wanted)))
    };
    let (send, keys) = sync_channel(256);
    thread::spawn(move || {
        // It ends with the program: a key that is read cannot be given back.
        for key in io::stdin().keys().map_while(Result::ok) {
            if send.send(key).is_err() {
                return;
            }
        }
    });
    let look = view::Look { colour: style.colour_stdout };
    let shown = show(&mut app, &shared, &wish, &keys, look);
    wish.send_replace(app.wanted());
    // It stops within moments, whatever the server does.
    let _ = feeding.join();
    shown?;
    match app.fatal {
        Some(failure) => Err(syntax::with_text(failure, &watch.filter)),
        None => Ok(()),
    }
}

/// Draws and takes keys until the person has seen enough. The terminal is as before afterwards, also after a panic.
fn show(
    app: &mut App,
    shared: &Shared,
    wish: &watch::Sender<feed::Wanted>,
    keys: &Receiver<Key>,
    look: view::Look,
) -> Result<(), Failure> {
    let screen = io::stdout().into_raw_mode().and_then(|raw| raw.into_alternate_screen());
    let screen = screen.context("cannot take the terminal")?;
    let mut terminal = Terminal::new(TermionBackend::new(screen)).context("cannot take the terminal")?;
    terminal.hide_cursor().context("cannot write to the terminal")?;
    let shown = run(app, shared, wish, keys, |app| {
        terminal.draw(|frame| view::draw(frame, app, look)).map(drop)?;
        Ok(())
    });
    let _ = terminal.show_cursor();
    shown
}

fn run(
    app: &mut App,
    shared: &Shared,
    wish: &watch::Sender<feed::Wanted>,
    keys: &Receiver<Key>,
    mut draw: impl FnMut(&mut App) -> io::Result<()>,
) -> Result<(), Failure> {
    loop {
        match keys.recv_timeout(FRAME) {
            Ok(key) => {
                app.key(key);
                // Keys that are held down are one frame.
                keys.try_iter().for_each(|key| app.key(key));
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can end it by a key any more.
            Err(RecvTimeoutError::Disconnected) => app.quit = true,
        }
        let wanted = app.wanted();
        if *wish.borrow() != wanted {
            if wish.borrow().turn != wanted.turn {
                shared.turn(wanted.turn);
            }
            wish.send_replace(wanted);
        }
        app.take(shared.take(), clock::now().0);
        if app.quit {
            return Ok(());
        }
        if std::mem::take(&mut app.dirty) {
            draw(app)?;
        }
    }
}
