//! Reads a unit file's text as the original's lexer does.
//!
//! What fleet 1.0 accepts is accepted with the same result; only four things are stricter: bytes that are no
//! UTF-8 and NUL are refused, a line is too long at a constant length, and every error names its line.

use crate::UnitOption;
use crate::quote::quoted;

/// The longest line that is accepted, in bytes without the line feed.
pub const MAX_LINE: usize = 2047;

/// Why a text is no unit file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a unit file. Where the original has a message for it, ours contains that text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A `[` without its `]`.
    #[error("unable to find end of section")]
    UnterminatedSection,
    /// Something other than white space after the `]` of a section header.
    #[error(
        "found garbage after section name {}: {}",
        quoted(section),
        quoted(garbage)
    )]
    GarbageAfterSection {
        /// The section's name.
        section: String,
        /// What follows it on its line.
        garbage: String,
    },
    /// An option's line ends before its `=`.
    #[error("unexpected newline encountered while parsing option name")]
    NewlineInOptionName,
    /// The file ends before an option's `=`.
    #[error("unexpected EOF while parsing option name")]
    EndInOptionName,
    /// A line of more than [`MAX_LINE`] bytes.
    #[error("line too long (max 2048 bytes)")]
    LineTooLong,
    /// A byte sequence that is not UTF-8.
    #[error("invalid UTF-8")]
    NotUtf8,
    /// A NUL byte: systemd refuses the file.
    #[error("NUL byte")]
    Nul,
    /// An option that would come back different, or as more than one, when its printed form is read.
    #[error(
        "option {} in section {} would not read back as it is written",
        quoted(name),
        quoted(section)
    )]
    NotReadBack {
        /// Section name.
        section: String,
        /// Option name.
        name: String,
    },
}

/// The options of a unit file, in file order.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<UnitOption>, ParseError> {
    let mut lexer = Lexer::new(check_lines(bytes)?);
    while let Some(next) = lexer.skip_white_space() {
        lexer.item(next)?;
    }
    Ok(lexer.options)
}

/// Refuses what no line may contain.
fn check_lines(bytes: &[u8]) -> Result<&str, ParseError> {
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if let Some(problem) = line_problem(line) {
            let line = at + 1;
            return Err(ParseError { line, problem });
        }
    }
    // every line is UTF-8, so the whole is
    std::str::from_utf8(bytes).map_err(|_| ParseError {
        line: 1,
        problem: Problem::NotUtf8,
    })
}

fn line_problem(line: &[u8]) -> Option<Problem> {
    if line.len() > MAX_LINE {
        Some(Problem::LineTooLong)
    } else if line.contains(&0) {
        Some(Problem::Nul)
    } else if std::str::from_utf8(line).is_err() {
        Some(Problem::NotUtf8)
    } else {
        None
    }
}

/// A cursor over the text. Each step takes one item off the front of `rest`.
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// The section that options belong to; none before the first header.
    section: Option<&'a str>,
    options: Vec<UnitOption>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Lexer {
            rest: text,
            line: 1,
            section: None,
            options: Vec::new(),
        }
    }

    /// The first character that is not white space.
    fn skip_white_space(&mut self) -> Option<char> {
        self.take(self.rest.len() - self.rest.trim_start().len());
        self.rest.chars().next()
    }

    fn item(&mut self, first: char) -> Result<(), ParseError> {
        match (first, self.section) {
            ('[', _) => self.header()?,
            ('#' | ';', _) => self.comment(),
            (prose, None) => {
                self.take(prose.len_utf8());
            }
            (_, Some(section)) => return self.option(section),
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), ParseError> {
        let end = self.rest.find(']');
        let end = end.ok_or_else(|| self.error(Problem::UnterminatedSection))?;
        let section = &self.take(end)[1..];
        self.take(1);
        let garbage = self.peek_line().trim();
        if !garbage.is_empty() {
            return Err(self.error(Problem::GarbageAfterSection {
                section: section.to_owned(),
                garbage: garbage.to_owned(),
            }));
        }
        self.take_line();
        self.section = Some(section);
        Ok(())
    }

    /// To the end of the line, and on while lines end in a backslash; one space behind it does no harm.
    fn comment(&mut self) {
        loop {
            let line = self.take_line();
            let line = line.strip_suffix(' ').unwrap_or(line);
            if !line.ends_with('\\') {
                return;
            }
        }
    }

    fn option(&mut self, section: &str) -> Result<(), ParseError> {
        let name = self.option_name()?;
        let value = self.option_value();
        self.options.push(UnitOption {
            section: section.to_owned(),
            name: name.trim().to_owned(),
            value,
        });
        Ok(())
    }

    fn option_name(&mut self) -> Result<&'a str, ParseError> {
        let end = self.rest.find(['=', '\r', '\n']);
        let end = end.ok_or_else(|| self.error(Problem::EndInOptionName))?;
        if !self.rest[end..].starts_with('=') {
            return Err(self.error(Problem::NewlineInOptionName));
        }
        let name = self.take(end);
        self.take(1);
        Ok(name)
    }

    /// The rest of the line; while a line ends in a backslash, the next one too. A blank line or the end
    /// of the file after a backslash leaves a line feed at the value's end.
    fn option_value(&mut self) -> String {
        let mut value = String::new();
        loop {
            let ends_file = !self.rest.contains('\n');
            let line = self.take_line();
            if line.trim().is_empty() {
                break;
            }
            value.push_str(line);
            if !line.ends_with('\\') || ends_file {
                break;
            }
            value.push('\n');
        }
        let open = if value.ends_with('\n') { "\n" } else { "" };
        format!("{}{open}", value.trim())
    }

    /// The line at the cursor without its line feed.
    fn peek_line(&self) -> &'a str {
        self.rest.split('\n').next().unwrap_or("")
    }

    /// Takes the line at the cursor with its line feed, and returns it without.
    fn take_line(&mut self) -> &'a str {
        let line = self.peek_line();
        self.take((line.len() + 1).min(self.rest.len()));
        line
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn error(&self, problem: Problem) -> ParseError {
        let line = self.line;
        ParseError { line, problem }
    }
}

/// Refuses options whose printed form reads back as something else: a line feed in a name would inject
/// options, a backslash at a value's end would swallow the next line.
pub(crate) fn check_round_trip(blocks: &[(&str, Vec<&UnitOption>)]) -> Result<(), ParseError> {
    let mut line = 1;
    for (section, options) in blocks {
        line += 1 + line_feeds(section);
        for option in options {
            check_alone(option, line)?;
            line += 1 + line_feeds(&option.name) + line_feeds(&option.value);
        }
        line += 1;
    }
    Ok(())
}

/// Reads `option` back from a file that holds nothing else; there its line is the last.
fn check_alone(option: &UnitOption, line: usize) -> Result<(), ParseError> {
    let text = format!("[{}]\n{}={}\n", option.section, option.name, option.value);
    let read = parse(text.as_bytes()).map_err(|error| ParseError { line, ..error })?;
    if read == std::slice::from_ref(option) {
        return Ok(());
    }
    let (section, name) = (option.section.clone(), option.name.clone());
    let problem = Problem::NotReadBack { section, name };
    Err(ParseError { line, problem })
}

fn line_feeds(text: &str) -> usize {
    text.matches('\n').count()
}
