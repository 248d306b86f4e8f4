//! The terminal: taken for as long as the list is shown, given back however that ends.

use std::io::{self, Write};
use std::{panic, process};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use rustix::process::{Signal, getpid, getsid, kill_current_process_group, kill_process};

use super::line::{Line, Style};

/// As a program in Rust exits that panics.
const PANICKED: i32 = 101;

/// The terminal that the program runs in.
pub struct Terminal {
    colours: bool,
}

impl Terminal {
    /// Takes it; keys come one by one from here on.
    ///
    /// # Errors
    /// Where there is none, or it does not obey.
    pub fn enter(colours: bool) -> io::Result<Self> {
        // From here on Drop gives it back.
        let terminal = Self { colours };
        take()?;
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // On the other screen nobody would see what it says.
            give_back();
            tell(info);
            process::exit(PANICKED);
        }));
        Ok(terminal)
    }

    /// Columns and lines, at this moment.
    ///
    /// # Errors
    /// Where the terminal does not tell.
    pub fn size() -> io::Result<(usize, usize)> {
        let (width, height) = size()?;
        Ok((width.into(), height.into()))
    }

    /// Shows the lines, from the top.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        // In one write, so that no half of it is seen.
        let mut stdout = io::stdout().lock();
        stdout.write_all(&paint(lines, self.colours)?)?;
        stdout.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back for as long as the shell has this program stopped.
///
/// # Errors
/// Where it cannot be taken again.
pub fn stop() -> io::Result<()> {
    give_back();
    kill_process(getpid(), Signal::STOP)?;
    take()
}

/// Asks all that the shell has started together to stop, as the terminal would at Ctrl-Z if its keys did
/// not come one by one. Without a shell above nobody could have them go on.
pub fn ask_to_stop() -> io::Result<()> {
    if getsid(None)? == getpid() {
        return Ok(());
    }
    Ok(kill_current_process_group(Signal::TSTP)?)
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide)
}

fn give_back() {
    // There is nobody left to tell.
    let _ = execute!(io::stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// What makes a terminal show the lines.
fn paint(lines: &[Line], colours: bool) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0_u16..).zip(lines) {
        queue!(out, MoveTo(0, row))?;
        for span in line.spans() {
            set(&mut out, span.style(), colours)?;
            out.extend_from_slice(span.text().as_bytes());
            queue!(out, SetAttribute(Attribute::Reset))?;
        }
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    queue!(out, EndSynchronizedUpdate)?;
    Ok(out)
}

/// What has a colour is told by its words as well.
fn set(out: &mut Vec<u8>, style: Style, colours: bool) -> io::Result<()> {
    let (attribute, colour) = match style {
        Style::Plain => return Ok(()),
        Style::Strong => (Some(Attribute::Bold), None),
        Style::Faint => (Some(Attribute::Dim), None),
        Style::Selected => (Some(Attribute::Reverse), None),
        Style::Good => (None, Some(Color::DarkGreen)),
        Style::Warning => (None, Some(Color::DarkYellow)),
        Style::Bad => (None, Some(Color::DarkRed)),
    };
    if let Some(attribute) = attribute {
        queue!(out, SetAttribute(attribute))?;
    }
    match colour {
        Some(colour) if colours => queue!(out, ResetColor, SetForegroundColor(colour)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(colours: bool) -> String {
        let line = Line::new().with(Style::Bad, "bad").with(Style::Selected, "here");
        String::from_utf8(paint(&[line], colours).unwrap()).unwrap()
    }

    #[test]
    fn without_colours_nothing_is_coloured_and_all_is_there() {
        let plain = painted(false);
        assert!(plain.contains("bad") && plain.contains("\u{1b}[7mhere"), "{plain:?}");
        assert!(!plain.contains("\u{1b}[3") && !plain.contains("\u{1b}[9"), "{plain:?}");
    }
}
