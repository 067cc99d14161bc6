//! A tree of values from several sources, each of which remembers where it came from.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::problem::Origin;

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way to a value. [`Display`](fmt::Display) writes `token.secrets[0].file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way(pub(super) Vec<Step>);

impl Way {
    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            steps.push(Step::Key(key.to_owned()));
            steps.extend(indices.split(['[', ']']).filter_map(|index| index.parse().ok()).map(Step::Index));
        }
        Self(steps)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A value with its origins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where its key stands.
    pub(super) key: Origin,
    /// Where the value itself stands.
    pub(super) at: Origin,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Table(BTreeMap<String, Node>),
    /// What was removed leaves a gap, so that the others are told by the places that they have.
    Array(Vec<Option<Node>>),
    Leaf(toml::Value),
    /// Text from outside a file, which has no types of its own: the readings to try, the likeliest last.
    Readings(Vec<toml::Value>),
}

impl Node {
    /// An empty table.
    pub(super) fn root() -> Self {
        Self { key: Origin::Default, at: Origin::Default, value: Value::Table(BTreeMap::new()) }
    }

    /// The values of a file that was parsed twice: `spans` for the places, `values` for the values.
    pub(super) fn from_file(file: &Arc<Path>, text: &str, spans: &DeTable<'_>, values: &toml::Table) -> Self {
        let source = Source { file, text };
        Self { value: source.table(spans, values), ..Self::root() }
    }

    /// Sets the value at `way` to `text`, over what is there.
    pub(super) fn set(&mut self, way: &[String], text: &str, origin: &Origin) {
        let Some((first, rest)) = way.split_first() else {
            self.value = Value::Readings(readings(text));
            self.at = origin.clone();
            return;
        };
        if !matches!(self.value, Value::Table(_)) {
            self.value = Value::Table(BTreeMap::new());
            self.at = origin.clone();
        }
        if let Value::Table(table) = &mut self.value {
            let child = table.entry(first.clone()).or_insert_with(|| Self {
                key: origin.clone(),
                at: origin.clone(),
                ..Self::root()
            });
            child.set(rest, text, origin);
        }
    }

    /// The node at `way`.
    pub(super) fn find(&self, way: &[Step]) -> Option<&Self> {
        match way.split_first() {
            Some((step, rest)) => self.child(step)?.find(rest),
            None => Some(self),
        }
    }

    /// The node at `way`, or the last one on the way there.
    pub(super) fn nearest(&self, way: &[Step]) -> &Self {
        way.split_first().and_then(|(step, rest)| Some(self.child(step)?.nearest(rest))).unwrap_or(self)
    }

    /// Takes the next reading of a text on the way, if there is one.
    pub(super) fn reread(&mut self, way: &[Step]) -> bool {
        if let Value::Readings(readings) = &mut self.value {
            return readings.len() > 1 && readings.pop().is_some();
        }
        way.split_first()
            .is_some_and(|(step, rest)| self.child_mut(step).is_some_and(|child| child.reread(rest)))
    }

    /// Removes the node at `way`, or the last one on the way there. False if that is the root.
    pub(super) fn remove(&mut self, way: &[Step]) -> bool {
        let Some((step, rest)) = way.split_first() else { return false };
        let Some(child) = self.child_mut(step) else { return false };
        if child.remove(rest) {
            return true;
        }
        match (&mut self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.remove(key).is_some(),
            (Value::Array(array), Step::Index(index)) => array
                .iter_mut()
                .filter(|node| node.is_some())
                .nth(*index)
                .is_some_and(|node| node.take().is_some()),
            _ => false,
        }
    }

    /// The way to the same node with everything that was removed still counted.
    pub(super) fn whole(&self, way: &Way) -> Way {
        let mut steps = way.0.clone();
        let mut node = Some(self);
        for (step, whole) in way.0.iter().zip(&mut steps) {
            if let (Some(Value::Array(array)), Step::Index(index)) = (node.map(|node| &node.value), step)
                && let Some((place, _)) =
                    array.iter().enumerate().filter(|(_, node)| node.is_some()).nth(*index)
            {
                *whole = Step::Index(place);
            }
            node = node.and_then(|node| node.child(step));
        }
        Way(steps)
    }

    /// Without the origins.
    pub(super) fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::Table(table) => {
                toml::Value::Table(table.iter().map(|(key, node)| (key.clone(), node.to_toml())).collect())
            }
            Value::Array(array) => toml::Value::Array(array.iter().flatten().map(Self::to_toml).collect()),
            Value::Leaf(value) => value.clone(),
            Value::Readings(readings) => {
                readings.last().cloned().unwrap_or_else(|| toml::Value::String(String::new()))
            }
        }
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get(key),
            (Value::Array(array), Step::Index(index)) => array.iter().flatten().nth(*index),
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Self> {
        match (&mut self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get_mut(key),
            (Value::Array(array), Step::Index(index)) => array.iter_mut().flatten().nth(*index),
            _ => None,
        }
    }
}

/// A text of the environment may be a number, a truth value or a list as TOML writes it; a text; or, with commas, a list.
fn readings(text: &str) -> Vec<toml::Value> {
    let list = text.split(',').map(|part| toml::Value::String(part.trim().to_owned())).collect();
    let mut readings = vec![toml::Value::Array(list), toml::Value::String(text.to_owned())];
    if let Some(value) = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
    {
        readings.push(value);
    }
    readings
}

struct Source<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
}

impl Source<'_> {
    fn table(&self, spans: &DeTable<'_>, values: &toml::Table) -> Value {
        let nodes = spans.iter().filter_map(|(key, span)| {
            let name: &str = key.get_ref();
            let node = Node {
                key: self.origin(key.span()),
                at: self.origin(span.span()),
                value: self.value(span.get_ref(), values.get(name)?),
            };
            Some((name.to_owned(), node))
        });
        Value::Table(nodes.collect())
    }

    fn value(&self, span: &DeValue<'_>, value: &toml::Value) -> Value {
        match (span, value) {
            (DeValue::Table(spans), toml::Value::Table(values)) => self.table(spans, values),
            (DeValue::Array(spans), toml::Value::Array(values)) => Value::Array(
                spans
                    .iter()
                    .zip(values)
                    .map(|(span, value)| {
                        let at = self.origin(span.span());
                        Some(Node { key: at.clone(), at, value: self.value(span.get_ref(), value) })
                    })
                    .collect(),
            ),
            (_, value) => Value::Leaf(value.clone()),
        }
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        place(self.file, self.text, span.start)
    }
}

/// The place of the byte at `offset`.
pub(super) fn place(file: &Arc<Path>, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        file: Arc::clone(file),
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_read_what_they_write() {
        for text in ["environment", "gateway.listen", "token.secrets[0].file", "a[1][2].b"] {
            assert_eq!(Way::parse(text).to_string(), text);
        }
    }

    #[test]
    fn readings_start_with_the_likeliest() {
        let last = |text: &str| readings(text).pop().unwrap();
        assert_eq!(last("8"), toml::Value::Integer(8));
        assert_eq!(last("true"), toml::Value::Boolean(true));
        assert_eq!(last("30s"), toml::Value::String("30s".into()));
        assert_eq!(last("127.0.0.1:0"), toml::Value::String("127.0.0.1:0".into()));
        assert_eq!(last("1\nb = 2"), toml::Value::String("1\nb = 2".into()), "one value and no more");
        assert_eq!(readings("a, b")[0], toml::Value::Array(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn places_count_characters_from_one() {
        let file: Arc<Path> = Arc::from(Path::new("f.toml"));
        let text = "a = 1\nä = 2\n";
        for (offset, expected) in
            [(0, "f.toml:1:1"), (4, "f.toml:1:5"), (6, "f.toml:2:1"), (11, "f.toml:2:5"), (99, "f.toml:3:1")]
        {
            assert_eq!(place(&file, text, offset).to_string(), expected, "{offset}");
        }
    }
}
