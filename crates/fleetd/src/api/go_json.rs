//! JSON as Go's `encoding/json` reads and writes it: clients know its rules and its messages.
//!
//! Field names match in any case, unknown ones are ignored, `null` stands for nothing, what follows the
//! first value is not looked at, and `<`, `>`, `&`, U+2028 and U+2029 are written escaped.

use fleet::v1;
use serde::Serialize;
use serde_json::Value;
use serde_json::error::Category;

/// Prints a value as Go does.
pub(super) fn print<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    // the first bytes of what is escaped; most answers have none of them
    let suspect = |byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2);
    match json.bytes().any(suspect) {
        true => Ok(escape(&json)),
        false => Ok(json),
    }
}

/// These characters stand in JSON only inside of strings, so no parsing is needed to escape them.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Reads a unit from the first JSON value of a body; the error is Go's message.
pub(super) fn unit(body: &[u8]) -> Result<v1::Unit, String> {
    unit_of(&first_value(body)?, "Go value of type schema.Unit")
}

/// Reads the body of `PUT /fleet/v2/units`.
pub(super) fn units(body: &[u8]) -> Result<Vec<v1::Unit>, String> {
    let place = "Go struct field PutUnits.units of type []schema.Unit";
    let body = first_value(body)?;
    let fields = object(&body, "Go value of type PutUnits")?;
    let units = fields.into_iter().find(|(name, _)| name == "units");
    let Some((_, units)) = units else {
        return Ok(Vec::new());
    };
    let units = array(units, place)?.iter();
    units
        .map(|unit| unit_of(unit, "Go struct field PutUnits.units of type schema.Unit"))
        .collect()
}

/// One operation of `PATCH /fleet/v1/machines`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MetadataOp {
    pub(super) op: String,
    pub(super) path: String,
    pub(super) value: String,
}

/// Reads a list of metadata operations; the error is Go's message.
pub(super) fn metadata_ops(body: &[u8]) -> Result<Vec<MetadataOp>, String> {
    let body = first_value(body)?;
    let ops = array(&body, "Go value of type []api.machineMetadataOp")?;
    ops.iter().map(metadata_op).collect()
}

fn metadata_op(json: &Value) -> Result<MetadataOp, String> {
    let mut op = MetadataOp::default();
    for (name, value) in object(json, "Go value of type api.machineMetadataOp")? {
        match name.as_str() {
            "op" => op.op = string(value, "machineMetadataOp.op")?,
            "path" => op.path = string(value, "machineMetadataOp.path")?,
            "value" => op.value = metadata_value(value)?,
            _ => {}
        }
    }
    Ok(op)
}

/// The original wants `{"value":"x"}`, its documentation a plain string: both are good.
fn metadata_value(json: &Value) -> Result<String, String> {
    if json.is_string() {
        return string(json, "machineMetadataOp.Value");
    }
    let place = "Go struct field machineMetadataOp.Value of type struct { Value string \"json:\\\"value\\\"\" }";
    let fields = object(json, place)?;
    let value = fields.into_iter().find(|(name, _)| name == "value");
    value.map_or(Ok(String::new()), |(_, value)| {
        string(value, "machineMetadataOp.Value.value")
    })
}

fn unit_of(json: &Value, place: &str) -> Result<v1::Unit, String> {
    let mut unit = v1::Unit::default();
    for (name, value) in object(json, place)? {
        match name.as_str() {
            "name" => unit.name = string(value, "Unit.name")?,
            "desiredstate" => unit.desired_state = string(value, "Unit.desiredState")?,
            "currentstate" => unit.current_state = string(value, "Unit.currentState")?,
            "machineid" => unit.machine_id = string(value, "Unit.machineID")?,
            "options" => unit.options = options(value)?,
            _ => {}
        }
    }
    Ok(unit)
}

fn options(json: &Value) -> Result<Vec<v1::UnitOption>, String> {
    let list = array(
        json,
        "Go struct field Unit.options of type []*schema.UnitOption",
    )?;
    list.iter().map(option).collect()
}

fn option(json: &Value) -> Result<v1::UnitOption, String> {
    if json.is_null() {
        return Err("options must not contain null".into());
    }
    let mut option = v1::UnitOption::default();
    let place = "Go struct field Unit.options of type schema.UnitOption";
    for (name, value) in object(json, place)? {
        match name.as_str() {
            "name" => option.name = string(value, "UnitOption.options.name")?,
            "section" => option.section = string(value, "UnitOption.options.section")?,
            "value" => option.value = string(value, "UnitOption.options.value")?,
            _ => {}
        }
    }
    Ok(option)
}

fn string(json: &Value, field: &str) -> Result<String, String> {
    match json {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        _ => Err(mismatch(
            json,
            &format!("Go struct field {field} of type string"),
        )),
    }
}

fn array<'a>(json: &'a Value, place: &str) -> Result<&'a [Value], String> {
    match json {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        _ => Err(mismatch(json, place)),
    }
}

/// The fields of an object, names in lower case.
fn object<'a>(json: &'a Value, place: &str) -> Result<Vec<(String, &'a Value)>, String> {
    match json {
        Value::Object(fields) => {
            let fields = fields.iter();
            Ok(fields
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect())
        }
        Value::Null => Ok(Vec::new()),
        _ => Err(mismatch(json, place)),
    }
}

fn mismatch(json: &Value, place: &str) -> String {
    let kind = match json {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {kind} into {place}")
}

fn first_value(body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(syntax_error(&error, &text)),
        None => Err("EOF".into()),
    }
}

fn syntax_error(error: &serde_json::Error, text: &str) -> String {
    if error.classify() == Category::Eof {
        return "unexpected EOF".into();
    }
    let message = error.to_string();
    let line = text.lines().nth(error.line().saturating_sub(1));
    let found = line.and_then(|line| line.as_bytes().get(error.column().saturating_sub(1)));
    match (found, context(&message, found)) {
        (Some(byte), Some(context)) => format!("invalid character {} {context}", quote(*byte)),
        _ => message,
    }
}

/// Go's words for where a wrong character stands, from serde_json's for what is wrong.
fn context(message: &str, found: Option<&u8>) -> Option<&'static str> {
    const CONTEXTS: [(&str, &str); 9] = [
        ("expected value", "looking for beginning of value"),
        (
            "key must be a string",
            "looking for beginning of object key string",
        ),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("control character", "in string literal"),
        ("invalid escape", "in string escape code"),
        ("invalid number", "in numeric literal"),
        ("expected ident", "in literal"),
    ];
    if message.starts_with("trailing comma") {
        return Some(match found {
            Some(b'}') => "looking for beginning of object key string",
            _ => "looking for beginning of value",
        });
    }
    let found = CONTEXTS
        .iter()
        .find(|(start, _)| message.starts_with(start));
    found.map(|(_, context)| *context)
}

/// A byte as Go quotes a character.
fn quote(byte: u8) -> String {
    match byte {
        b'"' => "'\"'".into(),
        b'\'' => "'\\''".into(),
        _ => format!("'{}'", char::from(byte).escape_debug()),
    }
}
