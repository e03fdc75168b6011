//! One place in the configuration: how to get there, and what each layer says.
//!
//! The layers are documents of the same shape: an entry of `circuits` over `defaults` over the
//! built-in defaults. A field that a layer leaves out is found in the one below, so inheritance is
//! nothing a reader of a field has to think of. Each method hands the value to a constructor that
//! checks it, and says what was expected where that refuses.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Number;

use super::error::{ConfigError, Path, quoted};
use super::source::Source;
use super::units;
use super::value::{self, Value};
use crate::time::Span;

#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    parent: Option<&'a Node<'a>>,
    name: &'a str,
    layers: Layers<'a>,
    source: Source,
}

/// The entry of a circuit, the document, the built-in defaults.
type Layers<'a> = [Option<&'a Value>; 3];

impl<'a> Node<'a> {
    pub(super) const fn root(document: &'a Value, builtin: &'a Value, source: Source) -> Self {
        Self { parent: None, name: "", layers: [None, Some(document), Some(builtin)], source }
    }

    /// The fields of an object, in the order of `names`. Any other field is refused.
    pub(super) fn fields<const N: usize>(
        &'a self,
        names: [&'static str; N],
    ) -> Result<[Self; N], ConfigError> {
        self.knows_only(&names)?;
        Ok(names.map(|name| {
            self.child(name, self.layers.map(|layer| layer.and_then(|value| value.field(name))))
        }))
    }

    /// The fields of an object whose names are the user's, of the uppermost layer alone.
    pub(super) fn entries(&'a self) -> Result<impl Iterator<Item = (&'a str, Self)>, ConfigError> {
        let entries = if self.is_absent() { &[] } else { self.object()? };
        Ok(entries
            .iter()
            .map(|(name, value)| (name.as_str(), self.child(name, [Some(value), None, None]))))
    }

    /// This entry, with `defaults` for what it leaves out.
    pub(super) const fn over(self, defaults: &Node<'a>) -> Self {
        let ([entry, ..], [_, document, builtin]) = (self.layers, defaults.layers);
        Self { layers: [entry, document, builtin], ..self }
    }

    /// Only the uppermost layer that says anything, over the built-in one.
    pub(super) fn replaced_whole(&self) -> Self {
        let [.., builtin] = self.layers;
        Self { layers: [self.value(), None, builtin], ..*self }
    }

    /// What the user says here.
    pub(super) fn user(&self) -> Self {
        let [entry, document, _] = self.layers;
        self.only(entry.or(document))
    }

    pub(super) const fn builtin(&self) -> Self {
        let [.., builtin] = self.layers;
        self.only(builtin)
    }

    /// The layers one by one, the lowest first.
    pub(super) fn apart(&self) -> impl Iterator<Item = Self> {
        self.layers.into_iter().rev().map(|layer| self.only(layer))
    }

    /// A field that can be null: absent from every layer is null too.
    pub(super) fn nullable<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        match self.value() {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self).map(Some),
        }
    }

    /// What only a field that is off by default leaves out: the default documents do not name it.
    pub(super) fn or<T>(
        &self,
        default: Option<T>,
        read: impl FnOnce(&Self) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        match default {
            Some(default) if self.is_absent() => Ok(default),
            _ => read(self),
        }
    }

    /// The items of a list, each a place of the list's own path.
    pub(super) fn list<T>(
        &self,
        noun: &str,
        expected: &str,
        mut read: impl FnMut(&Self) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(Value::List(items)) = self.value() else {
            return Err(self.is_not(noun, expected));
        };
        items.iter().map(|item| read(&self.only(Some(item)))).collect()
    }

    /// As [`Node::list`], for items with fields: each has its number in the path.
    pub(super) fn numbered<T>(
        &'a self,
        noun: &str,
        expected: &str,
        mut read: impl FnMut(&Self) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        const NUMBERS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let Some(Value::List(items)) = self.value() else {
            return Err(self.is_not(noun, expected));
        };
        if items.len() > NUMBERS.len() {
            return Err(self.refused(&format!(
                "{} items, expected at most {}",
                items.len(),
                NUMBERS.len()
            )));
        }
        let numbered = NUMBERS.into_iter().zip(items);
        numbered.map(|(number, item)| read(&self.child(number, [Some(item), None, None]))).collect()
    }

    /// What is off unless the user names it; once named, what is left out is found below.
    pub(super) fn if_given<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.user().nullable(|_| read(self))
    }

    /// `noun` names what a good text is, as in `"on" is not a mode`.
    pub(super) fn text<T>(
        &self,
        noun: &str,
        expected: &str,
        make: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let text = self.as_text().and_then(make);
        text.ok_or_else(|| self.is_not(noun, expected))
    }

    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match self.value() {
            Some(Value::Bool(flag)) => Ok(*flag),
            _ => Err(self.is_not("a boolean", "true or false")),
        }
    }

    pub(super) fn number<T>(
        &self,
        expected: &str,
        make: impl FnOnce(f64) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let number = self.as_number().ok_or_else(|| self.is_not("a number", expected))?;
        let made = number.as_f64().and_then(make);
        made.ok_or_else(|| self.out_of_range(number, expected))
    }

    pub(super) fn whole<T>(
        &self,
        range: RangeInclusive<u32>,
        make: impl FnOnce(u32) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let expected = format!("{} to {}", range.start(), range.end());
        let number = self.as_number().and_then(|number| number.as_f64());
        if number.is_none_or(|number| number.fract() != 0.0) {
            return Err(self.is_not("a whole number", &expected));
        }
        let range = f64::from(*range.start())..=f64::from(*range.end());
        self.number(&expected, |number| {
            range.contains(&number).then_some(number as u32).and_then(make)
        })
    }

    pub(super) fn duration<T>(
        &self,
        expected: &str,
        make: impl FnOnce(Span) -> Option<T>,
    ) -> Result<T, ConfigError> {
        const EXAMPLES: &str = r#"a number with a unit such as "250ms", "30s" or "5m""#;
        let text = self.as_text().unwrap_or_default();
        let span = units::duration(text).ok_or_else(|| self.is_not("a duration", EXAMPLES))?;
        make(span).ok_or_else(|| self.out_of_range(quoted(text), expected))
    }

    /// The value as JSON text.
    pub(super) fn as_json(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self.value()?).ok()
    }

    /// What holds here, of all layers together.
    pub(super) fn merged(&self) -> Value {
        merged(self.layers)
    }

    /// As [`Node::merged`], but with those fields alone that the uppermost layer has.
    pub(super) fn completed(&self) -> Value {
        match (self.merged(), self.value()) {
            (Value::Object(mut fields), Some(top)) => {
                fields.retain(|(name, _)| top.field(name).is_some());
                Value::Object(fields)
            }
            (value, _) => value,
        }
    }

    /// A number of bytes, or text with a unit.
    pub(super) fn size<T>(
        &self,
        expected: &str,
        make: impl FnOnce(u64) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let bytes = match self.as_text() {
            Some(text) => units::size(text),
            None => self.as_number().and_then(|number| number.as_u64()),
        };
        let bytes = bytes.ok_or_else(|| {
            self.is_not("a size", r#"bytes, or a number with a unit such as "64KiB" or "1MiB""#)
        })?;
        let shown = || self.value().map(ToString::to_string).unwrap_or_default();
        make(bytes).ok_or_else(|| self.out_of_range(shown(), expected))
    }

    /// A name without a value, as a `Struct` can have one.
    pub(super) fn is_absent(&self) -> bool {
        self.value().is_none()
    }

    /// Whether the value here comes from a layer below that of `other`.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        let depth = |node: &Self| node.layers.iter().position(Option::is_some);
        depth(self) > depth(other)
    }

    /// For what only shows once several fields are known.
    pub(super) fn refused(&self, problem: &str) -> ConfigError {
        ConfigError::new(self.path(), problem.to_owned())
    }

    pub(super) fn is_not(&self, noun: &str, expected: &str) -> ConfigError {
        let problem = match self.value() {
            None => format!("missing, expected {expected}"),
            Some(value) => format!("{value} is not {noun}, expected {expected}"),
        };
        self.refused(&problem)
    }

    fn out_of_range(&self, value: impl Display, expected: &str) -> ConfigError {
        self.refused(&format!("{value} is out of range, expected {expected}"))
    }

    fn path(&self) -> Path {
        self.parent.map_or_else(Path::default, |parent| parent.path().child(self.name))
    }

    fn child(&'a self, name: &'a str, layers: Layers<'a>) -> Self {
        let is_there = |value: &&Value| self.source == Source::Json || **value != Value::Null;
        let layers = layers.map(|layer| layer.filter(is_there));
        Self { parent: Some(self), name, layers, source: self.source }
    }

    const fn only(&self, layer: Option<&'a Value>) -> Self {
        Self { layers: [layer, None, None], ..*self }
    }

    /// What the uppermost layer that says anything says.
    fn value(&self) -> Option<&'a Value> {
        self.layers.into_iter().flatten().next()
    }

    fn object(&self) -> Result<&'a [(String, Value)], ConfigError> {
        let Some(Value::Object(object)) = self.value() else {
            return Err(self.is_not("an object", "named fields"));
        };
        let mut seen = BTreeSet::new();
        match object.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            None => Ok(object),
            Some((name, _)) => {
                let problem = "given twice, expected once".to_owned();
                Err(ConfigError::new(self.path().child(name), problem))
            }
        }
    }

    /// Looks at the uppermost layer: those below have been read for themselves.
    fn knows_only(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.object()?.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ConfigError::unknown_field(self.path().child(name), name, known))
            }
        }
    }

    pub(super) fn as_text(&self) -> Option<&'a str> {
        match self.value()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<Number> {
        match self.value()? {
            Value::Number(number) => Some(number.clone()),
            Value::Text(text) if self.source == Source::Struct => {
                units::number(text).and_then(value::number)
            }
            _ => None,
        }
    }
}

fn merged(layers: Layers<'_>) -> Value {
    let top = layers.into_iter().flatten().next();
    if !matches!(top, Some(Value::Object(_))) {
        return top.cloned().unwrap_or(Value::Null);
    }
    let mut names: Vec<&str> = Vec::new();
    for layer in layers.into_iter().flatten() {
        let Value::Object(fields) = layer else { continue };
        for (name, _) in fields {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let field = |name: &str| {
        let below = layers.map(|layer| layer.and_then(|value| value.field(name)));
        (name.to_owned(), merged(below))
    };
    Value::Object(names.into_iter().map(field).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn flag(node: &Node<'_>) -> Result<bool, ConfigError> {
        node.flag()
    }

    /// `a` to `d` as `read` finds each, in a document over the built-in one.
    fn each<T>(source: Source, read: impl Fn(&Node<'_>) -> T) -> [T; 4] {
        let document = json(r#"{"a": true, "b": null}"#);
        let builtin = json(r#"{"a": false, "b": false, "c": false}"#);
        let root = Node::root(&document, &builtin, source);
        root.fields(["a", "b", "c", "d"]).unwrap().each_ref().map(read)
    }

    #[test]
    fn a_field_is_that_of_the_uppermost_layer_that_has_it() {
        let found = each(Source::Json, |node| node.nullable(flag).unwrap());
        assert_eq!(found, [Some(true), None, Some(false), None]);
        let found = each(Source::Struct, |node| node.nullable(flag).unwrap());
        assert_eq!(found, [Some(true), Some(false), Some(false), None]);
    }

    #[test]
    fn what_is_off_unless_given_is_not_found_below() {
        for source in [Source::Json, Source::Struct] {
            let found = each(source, |node| node.if_given(flag).unwrap());
            assert_eq!(found, [Some(true), None, None, None]);
        }
    }

    #[test]
    fn an_absent_value_is_missing_and_says_what_was_expected() {
        let lines = each(Source::Json, |node| node.number("0 to 1", Some).unwrap_err());
        assert_eq!(
            lines.map(|line| line.to_string()),
            [
                "a: true is not a number, expected 0 to 1",
                "b: null is not a number, expected 0 to 1",
                "c: false is not a number, expected 0 to 1",
                "d: missing, expected 0 to 1",
            ]
        );
    }

    #[test]
    fn a_place_that_is_replaced_whole_skips_the_document() {
        let entry = json(r#"{"given": {"x": true}}"#);
        let document = json(r#"{"given": {"y": true}, "left_out": {"y": true}}"#);
        let builtin = json(r#"{"given": {"y": false, "x": false}, "left_out": {"x": false}}"#);
        let mut root = Node::root(&document, &builtin, Source::Json);
        root.layers[0] = Some(&entry);
        let flags = |at: &Node<'_>| {
            let at = at.replaced_whole();
            at.fields(["x", "y"]).unwrap().map(|field| field.flag().ok())
        };
        let [given, left_out] = root.fields(["given", "left_out"]).unwrap();
        assert_eq!(flags(&given), [Some(true), Some(false)]);
        assert_eq!(flags(&left_out), [Some(false), Some(true)]);
    }
}
