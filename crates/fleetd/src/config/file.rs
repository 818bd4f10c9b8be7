//! The syntax of fleet.conf: goini's, on top of `configparser`.

use configparser::ini::{Ini, IniDefault};

/// Configparser's name for what stands before any `[section]`; no line can hold a section of this name.
const TOP: &str = "\n";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct ConfFile {
    /// Options before any section, by line; the last of several lines with one option counts.
    pub(super) settings: Vec<Setting>,
    /// Line and name of each option below a section.
    pub(super) below_a_section: Vec<(usize, String)>,
}

/// One option.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) option: String,
    pub(super) value: String,
}

/// A line that cannot be read.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: String,
}

pub(super) fn read(text: &str) -> Result<ConfFile, SyntaxError> {
    let text = join_continuations(text)?;
    let (top, below_a_section) = option_lines(&text)?;
    let mut ini = Ini::new_from_defaults(like_goini());
    let mut sections = ini.read(text).map_err(syntax_error)?;
    let values = sections.remove(TOP).unwrap_or_default();
    let mut settings: Vec<Setting> = values
        .into_iter()
        .map(|(option, value)| Setting {
            line: last_line(&top, &option),
            value: goini_value(&value.unwrap_or_default()).to_owned(),
            option,
        })
        .collect();
    settings.sort_by_key(|setting| setting.line);
    Ok(ConfFile {
        settings,
        below_a_section,
    })
}

/// Puts a line that ends in a backslash and the next one into one; empty lines keep the count of lines.
fn join_continuations(text: &str) -> Result<String, SyntaxError> {
    let mut joined = String::new();
    let mut swallowed = 0;
    for line in text.lines().map(str::trim) {
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            swallowed += 1;
        } else {
            joined.push_str(line);
            joined.push_str(&"\n".repeat(swallowed + 1));
            swallowed = 0;
        }
    }
    if swallowed > 0 {
        let problem = "the line ends in a backslash and the file with it".into();
        return Err(SyntaxError {
            line: text.lines().count(),
            problem,
        });
    }
    Ok(joined)
}

type Lines = Vec<(usize, String)>;

/// Line number and lower-cased name of each option: those before any section, and the others.
fn option_lines(text: &str) -> Result<(Lines, Lines), SyntaxError> {
    let (mut top, mut below) = (Lines::new(), Lines::new());
    let mut in_section = false;
    for (line, content) in (1..).zip(text.lines()) {
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if content.starts_with('[') {
            in_section = true;
            continue;
        }
        let option = option_name(content).map_err(|problem| SyntaxError { line, problem })?;
        if in_section { &mut below } else { &mut top }.push((line, option));
    }
    Ok((top, below))
}

fn option_name(content: &str) -> Result<String, String> {
    let (name, _) = content
        .split_once('=')
        .ok_or_else(|| format!("expected `option = value`, found {content:?}"))?;
    let name = name.trim();
    if name.contains(char::is_whitespace) {
        return Err(format!("an option's name holds no white space: {name:?}"));
    }
    Ok(name.to_lowercase())
}

fn last_line(lines: &[(usize, String)], option: &str) -> usize {
    let found = lines.iter().rfind(|(_, name)| name == option);
    found.map_or(0, |(line, _)| *line)
}

/// The settings under which configparser takes every `=` line as goini does.
fn like_goini() -> IniDefault {
    let mut defaults = IniDefault::default();
    defaults.default_section = TOP.into();
    defaults.delimiters = vec!['='];
    defaults.enable_inline_comments = false;
    defaults.inline_comment_symbols = Some(Vec::new());
    defaults
}

/// Quotes count only around the whole value; without them a comment may follow.
fn goini_value(raw: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = raw
            .strip_prefix(quote)
            .and_then(|raw| raw.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    raw.split(['#', ';']).next().unwrap_or_default().trim()
}

/// Configparser's messages open with `line 3: ` or `line 3:0: `.
fn syntax_error(message: String) -> SyntaxError {
    let digits: String = message
        .trim_start_matches("line ")
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let problem = message
        .split_once(": ")
        .map(|(_, problem)| problem.to_owned());
    SyntaxError {
        line: digits.parse().unwrap_or(0),
        problem: problem.unwrap_or(message),
    }
}
