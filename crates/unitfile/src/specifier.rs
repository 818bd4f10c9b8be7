//! The specifiers that fleet expands in `[X-Fleet]` values.

use crate::UnitName;

/// Replaces `%n`, `%N`, `%p` and `%i` in `text`, in this order, by the parts of `name`.
pub fn expand(text: &str, name: &UnitName) -> String {
    text.replace("%n", name.as_str())
        .replace("%N", name.stem())
        .replace("%p", name.prefix())
        .replace("%i", name.instance().unwrap_or(""))
}
