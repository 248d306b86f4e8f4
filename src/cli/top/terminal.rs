//! The terminal: taken for as long as the list is shown, given back however that ends.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::line::{Line, Style};

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
        enable_raw_mode()?;
        // From here on Drop gives it back.
        let terminal = Self { colours };
        execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
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
        // There is nobody left to tell.
        let _ = execute!(io::stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
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
