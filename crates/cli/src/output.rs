//! Printing: results on standard output as text or JSON, complaints on standard error.

use std::{
    borrow::Cow,
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    config,
    escape::{self, printable},
};

/// How to print results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON document on standard output.
    Json,
    /// Markdown, for a pull request or a wiki. Reports only.
    Markdown,
    /// One page of HTML that needs nothing beside it. Reports only.
    Html,
    /// `JUnit` XML, as build servers read it. Reports only.
    Junit,
    /// SARIF 2.1.0, as code scanning reads it. Reports only.
    Sarif,
}

impl Format {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Sarif => "sarif",
        }
    }
}

/// Where results go, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    palette: Palette,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, palette: Palette::of(io::stdout().is_terminal()) }
    }

    /// How results are to be printed.
    pub(crate) const fn format(self) -> Format {
        self.format
    }

    /// The colours of standard output.
    pub(crate) const fn palette(self) -> Palette {
        self.palette
    }

    /// Prints `value` as JSON, or what `text` makes of it.
    ///
    /// # Errors
    /// [`Usage`] for a format of reports; if nothing can be written.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(Palette) -> String,
    ) -> anyhow::Result<()> {
        Self::write(match self.format {
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Text => text(self.palette),
            other => return Err(Self::not_here(other).into()),
        })
    }

    /// The complaint of a command that has no such format.
    pub(crate) fn not_here(format: Format) -> Usage {
        Usage(format!("`--format {}` is for reports: this command prints text or json", format.name()))
    }

    /// Prints a text that is ready.
    pub(crate) fn write(mut printed: String) -> anyhow::Result<()> {
        if !printed.ends_with('\n') {
            printed.push('\n');
        }
        // Kept as an `io::Error`, so that `main` can tell a reader who left.
        let mut stdout = io::stdout().lock();
        stdout.write_all(printable(&printed).as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    /// Without colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { on: false };

    fn of(terminal: bool) -> Self {
        Self { on: terminal && config::env::colour() }
    }

    pub(crate) fn bold<T: fmt::Display>(self, text: T) -> Paint<T> {
        self.paint("1", text)
    }

    pub(crate) fn dim<T: fmt::Display>(self, text: T) -> Paint<T> {
        self.paint("2", text)
    }

    pub(crate) fn red<T: fmt::Display>(self, text: T) -> Paint<T> {
        self.paint("31;1", text)
    }

    pub(crate) fn green<T: fmt::Display>(self, text: T) -> Paint<T> {
        self.paint("32;1", text)
    }

    pub(crate) fn yellow<T: fmt::Display>(self, text: T) -> Paint<T> {
        self.paint("33;1", text)
    }

    const fn paint<T>(self, code: &'static str, text: T) -> Paint<T> {
        Paint { code: if self.on { Some(code) } else { None }, text }
    }
}

/// A piece of coloured text. Width and alignment count the text alone.
pub(crate) struct Paint<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Paint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None => self.text.fmt(f),
            Some(code) => {
                escape::colour(f, code)?;
                self.text.fmt(f)?;
                escape::colour(f, "0")
            }
        }
    }
}

/// The command line asks for something that does not exist; exits with 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints an error and its causes on standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    let palette = Palette::of(io::stderr().is_terminal());
    note(format_args!("{}: {error:#}", palette.red("error")));
}

/// Prints a warning on standard error.
pub(crate) fn warn(text: impl fmt::Display) {
    let palette = Palette::of(io::stderr().is_terminal());
    note(format_args!("{}: {text}", palette.yellow("warning")));
}

/// Prints a line on standard error. That nobody reads it is no reason to fail.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// Tells what is wrong with the command line, and ends. What somebody else's text made of it steers nothing either.
pub(crate) fn refuse(error: &clap::Error) -> ! {
    let text = error.to_string();
    if let Cow::Owned(escaped) = printable(&text) {
        note(escaped.trim_end());
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// Breaks `text` into lines of at most `width` characters at spaces. Each line after the first stands behind `indent`,
/// which does not count.
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(indent);
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_every_word_and_the_width() {
        let text = "one two three four five six seven averyveryverylongword eight";
        let wrapped = wrap(text, 13, "  ");
        assert_eq!(wrapped, "one two three\n  four five six\n  seven\n  averyveryverylongword\n  eight");
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let palette = Palette { on: true };
        assert_eq!(printable(&format!("{:<6}|", palette.bold("ab"))), "\x1b[1mab    \x1b[0m|");
        assert_eq!(format!("{:<6}|", Palette::PLAIN.bold("ab")), "ab    |");
    }
}
