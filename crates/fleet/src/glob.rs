//! Shell patterns as Go's `path.Match` matches them, always against a whole name.
//!
//! `*` is any run without `/`, `?` any character but `/`, `[a-z]` and `[^a-z]` a class, `\` takes the next
//! character literally. There are no braces, and `[!a]` is a class of `!` and `a`.

use std::iter::Peekable;
use std::str::Chars;

/// Whether `pattern` matches `name`. A malformed pattern matches nothing.
pub fn matches(pattern: &str, name: &str) -> bool {
    Pattern::parse(pattern).is_ok_and(|pattern| pattern.matches(name))
}

/// A pattern that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What every match starts with.
    prefix: String,
    /// What follows the prefix; empty for a pattern that is a plain name.
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Literal(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A malformed pattern: an open or empty class, or nothing behind a `\`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

impl Pattern {
    /// Reads `pattern`; the error is that it is malformed, in which case Go matches nothing.
    pub fn parse(pattern: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            tokens.push(token(c, &mut rest)?);
        }
        Ok(Self::of(tokens))
    }

    fn of(mut tokens: Vec<Token>) -> Self {
        let literals = tokens.iter().map_while(|token| match token {
            Token::Literal(c) => Some(*c),
            _ => None,
        });
        let prefix: String = literals.collect();
        tokens.drain(..prefix.chars().count());
        Pattern { prefix, tokens }
    }

    /// Whether it matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        name.strip_prefix(self.prefix.as_str())
            .is_some_and(|rest| match_tokens(&self.tokens, rest))
    }

    /// What every name that it matches starts with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it matches one name only, its prefix.
    pub fn is_literal(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn token(c: char, rest: &mut Peekable<Chars<'_>>) -> Result<Token, BadPattern> {
    match c {
        '*' => Ok(Token::Star),
        '?' => Ok(Token::Any),
        '[' => class(rest),
        '\\' => rest.next().map(Token::Literal).ok_or(BadPattern),
        c => Ok(Token::Literal(c)),
    }
}

/// What follows a `[`. At least one range must stand before the `]`.
fn class(rest: &mut Peekable<Chars<'_>>) -> Result<Token, BadPattern> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = class_member(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_member(rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Ok(Token::Class { negated, ranges })
}

fn class_member(rest: &mut Peekable<Chars<'_>>) -> Result<char, BadPattern> {
    match rest.next().ok_or(BadPattern)? {
        '-' | ']' => Err(BadPattern),
        '\\' => rest.next().ok_or(BadPattern),
        c => Ok(c),
    }
}

/// Walks along both; after a mismatch the last star takes one character more. An earlier star need never
/// take more: what follows it has been found as far left as can be.
fn match_tokens(tokens: &[Token], name: &str) -> bool {
    let (mut tokens, mut name) = (tokens, name);
    let mut retry: Option<(&[Token], &str)> = None;
    loop {
        if let Some((Token::Star, after)) = tokens.split_first() {
            retry = Some((after, name));
            tokens = after;
        } else if let Some(next) = match_one(tokens, name) {
            (tokens, name) = next;
        } else if tokens.is_empty() && name.is_empty() {
            return true;
        } else {
            let Some((after, from)) = retry.and_then(star_takes_one) else {
                return false;
            };
            retry = Some((after, from));
            (tokens, name) = (after, from);
        }
    }
}

fn star_takes_one<'a>((after, from): (&'a [Token], &'a str)) -> Option<(&'a [Token], &'a str)> {
    let mut chars = from.chars();
    chars.next().filter(|&c| c != '/')?;
    Some((after, chars.as_str()))
}

fn match_one<'a>(tokens: &'a [Token], name: &'a str) -> Option<(&'a [Token], &'a str)> {
    let (token, tokens) = tokens.split_first()?;
    let mut chars = name.chars();
    let c = chars.next()?;
    token.takes(c).then_some((tokens, chars.as_str()))
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Star => false,
            Token::Any => c != '/',
            Token::Literal(literal) => c == *literal,
            Token::Class { negated, ranges } => {
                let inside = ranges.iter().any(|&(low, high)| low <= c && c <= high);
                inside != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stars_try_everything(pattern in "[ab/?*]{0,8}", name in "[ab/]{0,8}") {
            prop_assert_eq!(matches(&pattern, &name), tries(&pattern, &name));
        }

        #[test]
        fn no_text_is_too_odd(pattern: String, name: String) {
            matches(&pattern, &name);
        }
    }

    /// The same without classes and escapes, the slow way.
    fn tries(pattern: &str, name: &str) -> bool {
        let Some(c) = pattern.chars().next() else {
            return name.is_empty();
        };
        let rest = &pattern[1..];
        match name.chars().next() {
            n if c == '*' => {
                tries(rest, name) || n.is_some_and(|n| n != '/' && tries(pattern, &name[1..]))
            }
            Some(n) => (c == n || c == '?' && n != '/') && tries(rest, &name[1..]),
            None => false,
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [
            ("web@1.service", "web@1.service"),
            ("web@*.service", "web@1.service"),
            ("web@*.service", "web@.service"),
            ("*", ""),
            ("*a*b*c", "xaybzbc"),
            ("a?c", "aéc"),
            ("[a-c]x", "bx"),
            ("[^a-c]x", "dx"),
            ("[!a]", "!"),
            ("[^^]", "a"),
            (r"[\]-\^]", "]"),
            (r"a\*", "a*"),
            ("a]", "a]"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_differs_does_not_match() {
        for (pattern, name) in [
            ("", "a"),
            ("web@1", "web@1.service"),
            ("web@*.service", "web@1.socket"),
            ("*a", "ab"),
            ("a*", "a/b"),
            ("a?b", "a/b"),
            ("[!a]", "b"),
            ("[c-a]", "b"),
            ("{a,b}", "a"),
            (r"a\x2db", r"a\x2db"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_match_nothing_and_can_be_told() {
        for pattern in [
            "[", "[a", "[]a]", "[^]", "[a-]", "[-a]", "[a-", r"a\", r"[\", "x[a",
        ] {
            assert_eq!(Pattern::parse(pattern), Err(BadPattern), "{pattern}");
            assert!(!matches(pattern, pattern));
        }
    }

    #[test]
    fn the_literal_prefix_is_known() {
        let prefix = |pattern| Pattern::parse(pattern).map(|p| p.prefix().to_owned());
        assert_eq!(prefix("web@*.service"), Ok("web@".to_owned()));
        assert_eq!(prefix(r"a\*b"), Ok("a*b".to_owned()));
    }
}
