//! Pages: lists are handed out in pieces, and a token asks for the next one.
//!
//! A token is the page's size and number, each a little-endian 16-bit integer, in URL-safe base64.

use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};

/// Go's decoder does not mind stray bits in the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The most items that a page may have.
const LARGEST: u16 = 10_000;

/// Which page of a list is asked for, from 1, and how many items a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    limit: u16,
    number: u16,
}

impl Page {
    /// The page that a request's `nextPageToken` parameters ask for; without one, the first. `limit` is how many items a page
    /// has, unless the request has a `limit` of its own.
    pub(super) fn asked(query: &[(String, String)], limit: u16) -> Result<Page, String> {
        let limit = wanted_limit(query)?.unwrap_or(limit);
        let mut tokens = query.iter().filter(|(name, _)| name == "nextPageToken");
        match (tokens.next(), tokens.next()) {
            (None, _) => Ok(Page { limit, number: 1 }),
            (Some((_, token)), None) => Page::of_token(token)?.checked(limit),
            _ => Err("too many values for page token".into()),
        }
    }

    /// Whether a list begins with it.
    pub(super) fn is_first(self) -> bool {
        self.number == 1
    }

    /// The page's items, and the next page's token unless this is the last one.
    pub(super) fn of<T: Clone>(self, items: &[T]) -> (Vec<T>, String) {
        let limit = usize::from(self.limit);
        let start = (usize::from(self.number) - 1) * limit;
        let more = items.len() > start + limit;
        let items = items.iter().skip(start).take(limit).cloned().collect();
        let next = self.number.checked_add(1).filter(|_| more);
        let token = next.map_or(String::new(), |number| Page { number, ..self }.token());
        (items, token)
    }

    fn token(self) -> String {
        let mut bytes = self.limit.to_le_bytes().to_vec();
        bytes.extend(self.number.to_le_bytes());
        BASE64.encode(bytes)
    }

    fn of_token(token: &str) -> Result<Page, String> {
        let bytes = BASE64
            .decode(token)
            .map_err(|error| corrupt(&error, token))?;
        match bytes[..] {
            [] => Err("EOF".into()),
            [a, b, c, d, ..] => Ok(Page {
                limit: u16::from_le_bytes([a, b]),
                number: u16::from_le_bytes([c, d]),
            }),
            _ => Err("unexpected EOF".into()),
        }
    }

    fn checked(self, limit: u16) -> Result<Page, String> {
        if self.limit != limit {
            return Err(format!("token limit must be {limit}"));
        }
        if self.number == 0 {
            return Err("token page must be greater than zero".into());
        }
        Ok(self)
    }
}

/// The `limit` that a request asks for. The original ignores it, and has pages of its own size.
fn wanted_limit(query: &[(String, String)]) -> Result<Option<u16>, String> {
    let Some((_, wanted)) = query.iter().find(|(name, _)| name == "limit") else {
        return Ok(None);
    };
    let limit = wanted.parse().ok();
    let limit = limit.filter(|limit| (1..=LARGEST).contains(limit));
    let invalid = || format!("invalid limit {wanted:?}: expected a number from 1 to {LARGEST}");
    limit.map(Some).ok_or_else(invalid)
}

fn corrupt(error: &DecodeError, token: &str) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => token.len() / 4 * 4,
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn query(tokens: &[&str]) -> Vec<(String, String)> {
        let token = |token: &&str| ("nextPageToken".to_owned(), (*token).to_owned());
        tokens.iter().map(token).collect()
    }

    fn refused(tokens: &[&str]) -> String {
        Page::asked(&query(tokens), 100).unwrap_err()
    }

    #[test]
    fn the_second_page_of_a_hundred_has_the_originals_token() {
        let first = Page::asked(&[], 100).unwrap();
        let (items, token) = first.of(&(0..250).collect::<Vec<_>>());
        assert_eq!((items.len(), token.as_str()), (100, "ZAACAA=="));
    }

    #[test]
    fn tokens_lead_through_a_list_and_end_with_it() {
        for total in [0, 1, 99, 100, 101, 200, 250] {
            let (mut seen, mut tokens) = (Vec::new(), Vec::new());
            loop {
                let asked: Vec<&str> = tokens.iter().map(String::as_str).rev().take(1).collect();
                let page = Page::asked(&query(&asked), 100).unwrap();
                let (items, token) = page.of(&(0..total).collect::<Vec<_>>());
                assert!(
                    !items.is_empty() || total == 0,
                    "an empty page was announced"
                );
                seen.extend(items);
                if token.is_empty() {
                    break;
                }
                tokens.push(token);
            }
            assert_eq!(seen, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_request_may_ask_for_longer_pages() {
        let asked = |limit: &str, token: Option<&str>| {
            let mut query = query(token.as_slice());
            query.push(("limit".to_owned(), limit.to_owned()));
            Page::asked(&query, 100)
        };
        let items = (0..2500).collect::<Vec<_>>();
        let (first, token) = asked("1000", None).unwrap().of(&items);
        assert_eq!(first.len(), 1000);
        let (second, _) = asked("1000", Some(&token)).unwrap().of(&items);
        assert_eq!((second[0], second.len()), (1000, 1000));
        let other = asked("2000", Some(&token)).unwrap_err();
        assert_eq!(other, "token limit must be 2000");
        for wrong in ["0", "10001", "-1", "many", ""] {
            let told = asked(wrong, None).unwrap_err();
            assert!(told.starts_with("invalid limit"), "{told}");
        }
    }

    #[test]
    fn a_page_past_the_end_is_empty() {
        let page = Page {
            limit: 100,
            number: 657,
        };
        assert_eq!(page.of(&[1; 200]), (vec![], String::new()));
    }

    #[test]
    fn wrong_tokens_are_refused_in_the_originals_words() {
        assert_eq!(
            refused(&["ZAACAA==", "ZAACAA=="]),
            "too many values for page token"
        );
        assert_eq!(refused(&["AQACAA=="]), "token limit must be 100");
        assert_eq!(
            refused(&["ZAAAAA=="]),
            "token page must be greater than zero"
        );
        assert_eq!(refused(&[""]), "EOF");
        assert_eq!(refused(&["ZAAC"]), "unexpected EOF");
        assert_eq!(
            refused(&["ZAAC!AA="]),
            "illegal base64 data at input byte 4"
        );
        assert_eq!(refused(&["ZAACA"]), "illegal base64 data at input byte 4");
    }

    #[test]
    fn bytes_after_a_token_are_ignored() {
        let page = Page::asked(&query(&["ZAACAAAA"]), 100).unwrap();
        assert_eq!(
            page,
            Page {
                limit: 100,
                number: 2
            }
        );
    }
}
