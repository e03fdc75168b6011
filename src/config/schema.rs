//! The configuration as a JSON Schema: for editors, and for whoever checks many of them at once.
//!
//! The reader stays the judge. It says what is wrong in one line with its place, and it knows what
//! a schema cannot say; so these types only mirror it, and are not in the module. The defaults
//! are those of `defaults.json`. `tests/schema.rs` holds the rest to the reader: which fields there
//! are, and what each of them takes.
// The types are described, and never made.
#![allow(dead_code)]

mod document;
mod fallback;
mod policy;
mod quantity;

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde::Serialize;
use serde_json::{Value, json};

use document::Document;

/// As it is committed, in `envoy/config.schema.json`.
pub fn text() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(unwrap_lines));
    let schema = settings.into_generator().into_root_schema_for::<Document>();
    // A schema always serialises.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// A document that is good by one of the schema's definitions, with the defaults of all that it
/// leaves out in objects of its own.
pub fn filled_in(definition: &str, document: &impl Serialize) -> Value {
    /// The same for each of a thousand circuits.
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(&text()).unwrap_or_default());
    // Text and numbers always serialise.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let definition = SCHEMA.pointer(&format!("/$defs/{definition}"));
    fill_in(&mut document, definition.unwrap_or(&Value::Null), &SCHEMA);
    document
}

fn fill_in(value: &mut Value, schema: &Value, root: &Value) {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let definition = root.pointer(reference.trim_start_matches('#'));
        return fill_in(value, definition.unwrap_or(&Value::Null), root);
    }
    match (value, schema.get("properties")) {
        (Value::Object(fields), Some(Value::Object(known))) => {
            // Of fields that exclude each other one that is given stands alone.
            let excluding = schema.pointer("/not/required").and_then(Value::as_array);
            let excluding: Vec<_> =
                excluding.into_iter().flatten().filter_map(Value::as_str).collect();
            let is_decided = excluding.iter().any(|name| fields.contains_key(*name));
            for (name, field) in known {
                let default = field.get("default").filter(|default| !default.is_null());
                if let Some(value) = fields.get_mut(name) {
                    fill_in(value, field, root);
                } else if let Some(default) = default
                    && !(is_decided && excluding.contains(&name.as_str()))
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
        }
        (Value::Array(items), _) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            items.iter_mut().for_each(|item| fill_in(item, schema, root));
        }
        // One that may be null.
        (value, None) => {
            let others = schema.get("anyOf").and_then(Value::as_array);
            if let Some(other) =
                others.and_then(|it| it.iter().find(|it| it.get("properties").is_some()))
            {
                fill_in(value, other, root);
            }
        }
        _ => {}
    }
}

/// The lines of a comment are no lines of the text.
fn unwrap_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<_> = text.split("\n\n").map(|text| text.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
}

/// What holds where a field is left out; and none of them has to be given.
fn defaults(values: Value) -> impl Fn(&mut Schema) {
    move |schema| {
        schema.remove("required");
        let Some(Value::Object(fields)) = schema.get_mut("properties") else { return };
        for (name, field) in fields {
            if let (Some(value), Some(field)) = (values.get(name), field.as_object_mut()) {
                // The fields of an object have their own.
                let value = if value.is_object() { json!({}) } else { value.clone() };
                field.entry("default").or_insert(value);
            }
        }
    }
}

/// A place in the built-in defaults.
fn builtin(pointer: &str) -> Value {
    let document: Value = serde_json::from_str(super::DEFAULTS).unwrap_or_default();
    document.pointer(pointer).cloned().unwrap_or_default()
}

/// The width of a number of the mirror says nothing to a reader of the schema.
fn plain(schema: &mut Schema) {
    schema.remove("format");
}
