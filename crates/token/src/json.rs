//! Reading a JSON object once, strictly: unique names, known members kept, the rest passed over without a copy.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member's value, as far as header and claims need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative,
    Float(f64),
    Text(Cow<'a, str>),
    /// An array of strings alone.
    Texts(Vec<Cow<'a, str>>),
    /// An object, or an array with something else in it.
    Other,
}

/// Why a text is not such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotUtf8,
    NotJson,
    NotAnObject,
    Duplicate,
    TooMany,
}

impl Fault {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::NotUtf8 => "is not UTF-8",
            Self::NotJson => "is not JSON",
            Self::NotAnObject => "is not a JSON object",
            Self::Duplicate => "has a member twice",
            Self::TooMany => "has too many members",
        }
    }
}

/// Reads the object in `bytes` and hands each member that `known` has an index for (below 64) to `take`; `seen` hears of every
/// name. A name that occurs twice is a fault wherever it stands (RFC 7515 §4, RFC 7519 §4).
pub(crate) fn read_object<'a>(
    bytes: &'a [u8],
    known: impl Fn(&[u8]) -> Option<usize>,
    max_members: usize,
    mut take: impl FnMut(usize, Value<'a>),
    mut seen: impl FnMut(&str, &Presence),
) -> Result<(), Fault> {
    // serde_json does not look at the bytes of strings that it passes over; RFC 8725 §3.7 wants all of it in UTF-8.
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return Err(if serde_json::from_str::<IgnoredAny>(text).is_ok() {
            Fault::NotAnObject
        } else {
            Fault::NotJson
        });
    }
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = Object { known, max_members, take: &mut take, seen: &mut seen, fault: &mut fault };
    let read = deserializer.deserialize_map(object).and_then(|()| deserializer.end());
    match (read, fault) {
        (_, Some(fault)) => Err(fault),
        (Err(_), None) => Err(Fault::NotJson),
        (Ok(()), None) => Ok(()),
    }
}

/// Whether a member says something: `null` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Null,
    Something,
}

struct Object<'k, K, T, S> {
    known: K,
    max_members: usize,
    take: T,
    seen: S,
    fault: &'k mut Option<Fault>,
}

impl<'a, K, T, S> Visitor<'a> for Object<'_, K, T, S>
where
    K: Fn(&[u8]) -> Option<usize>,
    T: FnMut(usize, Value<'a>),
    S: FnMut(&str, &Presence),
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut known_seen = 0_u64;
        let mut others: Vec<Cow<'a, str>> = Vec::new();
        let mut members = 0;
        while let Some(name) = map.next_key_seed(Name)? {
            members += 1;
            if members > self.max_members {
                *self.fault = Some(Fault::TooMany);
                return Err(A::Error::custom("too many"));
            }
            let index = (self.known)(name.as_bytes());
            let repeated = match index {
                Some(index) => {
                    let before = known_seen;
                    known_seen |= 1 << index;
                    before == known_seen
                }
                None => others.contains(&name),
            };
            if repeated {
                *self.fault = Some(Fault::Duplicate);
                return Err(A::Error::custom("twice"));
            }
            let presence = match index {
                Some(index) => {
                    let value = map.next_value_seed(AnyValue)?;
                    let presence = if value == Value::Null { Presence::Null } else { Presence::Something };
                    (self.take)(index, value);
                    presence
                }
                None => map.next_value_seed(Passed)?,
            };
            (self.seen)(&name, &presence);
            if index.is_none() {
                others.push(name);
            }
        }
        Ok(())
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A value that nobody asked for: all that is kept is whether it was `null`.
struct Passed;

impl<'a> DeserializeSeed<'a> for Passed {
    type Value = Presence;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Presence, D::Error> {
        match <Option<IgnoredAny> as serde::Deserialize>::deserialize(deserializer)? {
            Some(_) => Ok(Presence::Something),
            None => Ok(Presence::Null),
        }
    }
}

struct AnyValue;

impl<'a> DeserializeSeed<'a> for AnyValue {
    type Value = Value<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AnyValue {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'a>, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'a>, E> {
        Ok(Value::Negative)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'a>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Value<'a>, A::Error> {
        let mut texts = Vec::new();
        let mut all_texts = true;
        while let Some(item) = items.next_element_seed(Self)? {
            match item {
                Value::Text(text) if all_texts => texts.push(text),
                _ => all_texts = false,
            }
        }
        Ok(if all_texts { Value::Texts(texts) } else { Value::Other })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &[u8]) -> Option<usize> {
        [b"a", b"b"].iter().position(|known| *known == name)
    }

    fn read(text: &[u8]) -> Result<Vec<(usize, Value<'_>)>, Fault> {
        let mut taken = Vec::new();
        read_object(text, known, 4, |index, value| taken.push((index, value)), |_, _| ()).map(|()| taken)
    }

    #[test]
    fn keeps_known_members() {
        let text = br#" {"x":[1,{"a":2}],"a":"v","\u0062":["p","q\n"]} "#;
        let texts = vec![Cow::Borrowed("p"), Cow::Borrowed("q\n")];
        assert_eq!(read(text), Ok(vec![(0, Value::Text("v".into())), (1, Value::Texts(texts))]));
        for (json, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("7", Value::Unsigned(7)),
            ("-7", Value::Negative),
            ("7.5", Value::Float(7.5)),
            ("[]", Value::Texts(Vec::new())),
            ("[\"p\",1]", Value::Other),
            ("[[\"p\"]]", Value::Other),
            ("{\"a\":1,\"a\":2}", Value::Other),
        ] {
            assert_eq!(read(format!("{{\"a\":{json}}}").as_bytes()), Ok(vec![(0, value)]), "{json}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_strict_object() {
        let table: &[(&[u8], Fault)] = &[
            (b"", Fault::NotJson),
            (b"{", Fault::NotJson),
            (b"{}x", Fault::NotJson),
            (b"{}{}", Fault::NotJson),
            (b"{'a':1}", Fault::NotJson),
            (b"{\"a\":1,}", Fault::NotJson),
            (b"{\"a\":NaN}", Fault::NotJson),
            (b"{\"a\":1e999}", Fault::NotJson),
            (b"\xef\xbb\xbf{}", Fault::NotJson),
            (b"[]", Fault::NotAnObject),
            (b"\"a\"", Fault::NotAnObject),
            (b"null", Fault::NotAnObject),
            (b"{\"a\":\"\xff\"}", Fault::NotUtf8),
            (b"{\"x\":\"\xff\"}", Fault::NotUtf8),
            (b"{\0}\0", Fault::NotJson),
            (b"{\"a\":1,\"a\":1}", Fault::Duplicate),
            (b"{\"x\":1,\"y\":2,\"x\":3}", Fault::Duplicate),
            (b"{\"a\":1,\"\\u0061\":1}", Fault::Duplicate),
            (b"{\"x\":1,\"\\u0078\":1}", Fault::Duplicate),
            (b"{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1}", Fault::TooMany),
        ];
        for (text, fault) in table {
            assert_eq!(read(text), Err(*fault), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn deep_nesting_never_grows_the_stack() {
        let deep = |name: &str| format!("{{\"{name}\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        // What is passed over is passed over in a loop; what is kept is kept to a depth of 128.
        assert_eq!(read(deep("x").as_bytes()), Ok(Vec::new()));
        assert_eq!(read(deep("a").as_bytes()), Err(Fault::NotJson));
    }

    #[test]
    fn tells_null_from_something() {
        let mut seen = Vec::new();
        let text = br#"{"a":null,"x":null,"b":0,"y":false}"#;
        read_object(text, known, 9, |_, _| (), |name, presence| seen.push((name.to_owned(), *presence)))
            .unwrap();
        let expected = [
            ("a", Presence::Null),
            ("x", Presence::Null),
            ("b", Presence::Something),
            ("y", Presence::Something),
        ];
        assert_eq!(seen, expected.map(|(name, presence)| (name.to_owned(), presence)));
    }
}
