//! Which pages may call: the configured origins, compared as wholes, without credentials.

use axum::http::HeaderValue;

use crate::Error;

/// The origins of pages that may call.
#[derive(Debug)]
pub(crate) struct Origins(Vec<HeaderValue>);

impl Origins {
    /// # Errors
    /// [`Error::Origin`] for a text that no browser would send as an `Origin` (RFC 6454 §6.1), `null` and `*` among
    /// them: those would open the service to every page.
    pub(crate) fn new(origins: &[String]) -> Result<Self, Error> {
        let parse = |text: &String| {
            let origin = text.to_ascii_lowercase();
            let wrong = || Error::Origin(text.clone());
            let (scheme, host) = origin.split_once("://").ok_or_else(wrong)?;
            let scheme_good = scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            let host_good =
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
            if !scheme_good || !host_good {
                return Err(wrong());
            }
            HeaderValue::try_from(origin).map_err(|_| wrong())
        };
        Ok(Self(origins.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// The origin as it is on the list, if it is.
    pub(crate) fn allowed(&self, origin: &HeaderValue) -> Option<&HeaderValue> {
        self.0.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_of_the_list_are_allowed() {
        let origins =
            Origins::new(&["http://127.0.0.1:8000".into(), "https://Chat.Example.com".into()]).unwrap();
        for (origin, good) in [
            ("http://127.0.0.1:8000", true),
            ("https://chat.example.com", true),
            ("HTTPS://chat.example.com", true),
            ("http://127.0.0.1:80000", false),
            ("http://127.0.0.1", false),
            ("https://127.0.0.1:8000", false),
            ("https://chat.example.com.evil.test", false),
            ("https://evil.test/https://chat.example.com", false),
            ("null", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(origins.allowed(&HeaderValue::from_static(origin)).is_some(), good, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_at_the_start() {
        for text in [
            "",
            "*",
            "null",
            "example.com",
            "https://",
            "https://a/b",
            "https://a/",
            "https://u@a",
            "https://*.a",
            "1://a",
        ] {
            assert!(matches!(Origins::new(&[text.into()]), Err(Error::Origin(_))), "{text}");
        }
        assert!(Origins::new(&["http://[::1]:8000".into(), "app+x://a".into()]).is_ok());
    }
}
