//! What may be asked of a machine's metadata, in one line: `zone in (a, b)`, `cores>=4`, `!spot`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

/// An expression over metadata. Two are equal if their texts are.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    key: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
    Exists,
    Absent,
    Matches(Regex),
    MatchesNot(Regex),
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Nothing is compared, or what is looks like no key.
    #[error("expected a metadata key, such as `zone` in `zone=a`")]
    Key,
    /// An operator without something behind it.
    #[error("nothing follows `{0}`")]
    Value(&'static str),
    /// `<` and `>` compare numbers.
    #[error("`{0}` is not a number")]
    Number(String),
    /// `in` takes `(a, b)`.
    #[error("expected a list such as `(a, b)` after `in`")]
    List,
    /// The regular expression is malformed.
    #[error("malformed regular expression `{0}`")]
    Regex(String),
}

/// In the order in which they are looked for: a longer one before its beginning.
const OPERATORS: [&str; 9] = ["==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">"];

impl Expression {
    /// Reads an expression. Spaces around its parts do not count.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let text = text.trim();
        let (key, test) = match (operator(text), listed(text)) {
            (_, Some(parts)) => list(parts)?,
            (Some((key, operator, value)), None) => (key, compared(operator, value)?),
            (None, None) => existence(text),
        };
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()!=<>~".contains(c)) {
            return Err(ExpressionError::Key);
        }
        Ok(Expression {
            text: text.to_owned(),
            key: key.to_owned(),
            test,
        })
    }

    /// Whether it holds for a machine with this metadata. What is not there is in no list, is no number and matches nothing:
    /// so `!=`, `not in`, `!~` and `!key` hold for a machine without the key.
    pub fn holds(&self, metadata: &BTreeMap<String, String>) -> bool {
        let value = metadata.get(&self.key);
        let number = || value.and_then(|value| value.trim().parse::<f64>().ok());
        let one_of = |values: &[String]| value.is_some_and(|value| values.contains(value));
        let matches = |regex: &Regex| value.is_some_and(|value| regex.is_match(value));
        match &self.test {
            Test::In(values) => one_of(values),
            Test::NotIn(values) => !one_of(values),
            Test::Less(limit) => number().is_some_and(|value| value < *limit),
            Test::AtMost(limit) => number().is_some_and(|value| value <= *limit),
            Test::More(limit) => number().is_some_and(|value| value > *limit),
            Test::AtLeast(limit) => number().is_some_and(|value| value >= *limit),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Matches(regex) => matches(regex),
            Test::MatchesNot(regex) => !matches(regex),
        }
    }
}

/// The parts around the first operator.
fn operator(text: &str) -> Option<(&str, &'static str, &str)> {
    let at = |operator: &&'static str| Some((text.find(*operator)?, *operator));
    let found = OPERATORS.iter().filter_map(at);
    // the first in the text; at one place the longest, which the list has first
    let (at, operator) = found.min_by_key(|&(at, _)| at)?;
    let (key, rest) = text.split_at(at);
    Some((key.trim(), operator, rest[operator.len()..].trim()))
}

fn compared(operator: &'static str, value: &str) -> Result<Test, ExpressionError> {
    if value.is_empty() {
        return Err(ExpressionError::Value(operator));
    }
    let number = || {
        value
            .parse::<f64>()
            .map_err(|_| ExpressionError::Number(value.to_owned()))
    };
    let regex = || {
        Regex::new(&format!("^(?:{value})$")).map_err(|_| ExpressionError::Regex(value.to_owned()))
    };
    let values = || vec![value.to_owned()];
    Ok(match operator {
        "!=" => Test::NotIn(values()),
        "=~" => Test::Matches(regex()?),
        "!~" => Test::MatchesNot(regex()?),
        "<=" => Test::AtMost(number()?),
        ">=" => Test::AtLeast(number()?),
        "<" => Test::Less(number()?),
        ">" => Test::More(number()?),
        _ => Test::In(values()),
    })
}

/// Key, whether it is to be in the list, and the list, of `key in (…)` and `key not in (…)`.
fn listed(text: &str) -> Option<(&str, bool, &str)> {
    let (key, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (is_in, rest) = match rest.strip_prefix("not") {
        Some(rest) if rest.starts_with(char::is_whitespace) => (false, rest.trim_start()),
        _ => (true, rest),
    };
    let list = rest.strip_prefix("in")?;
    list.starts_with(|c: char| c == '(' || c.is_whitespace())
        .then_some((key, is_in, list.trim()))
}

fn list<'a>(
    (key, is_in, list): (&'a str, bool, &'a str),
) -> Result<(&'a str, Test), ExpressionError> {
    let inner = list
        .strip_prefix('(')
        .and_then(|list| list.strip_suffix(')'));
    let items = inner
        .ok_or(ExpressionError::List)?
        .split(',')
        .map(str::trim);
    let items: Vec<String> = items.map(str::to_owned).collect();
    if items.iter().any(String::is_empty) {
        return Err(ExpressionError::List);
    }
    let test = if is_in {
        Test::In(items)
    } else {
        Test::NotIn(items)
    };
    Ok((key, test))
}

fn existence(text: &str) -> (&str, Test) {
    match text.strip_prefix('!') {
        Some(key) => (key.trim_start(), Test::Absent),
        None => (text, Test::Exists),
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
