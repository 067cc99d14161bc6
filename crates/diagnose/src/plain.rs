//! Texts that may be written down: those in which nothing can be a credential.

use crate::{credential::credentials, redact};

/// Whether nothing in `text` may be a credential or another secret, by its form, by its name, or by what is talked about.
///
/// It errs on one side alone: an identifier or a timestamp that could be a secret counts as one. What has the form of an
/// everyday word ("my code is swordfish") is not recognised, unless the text says that it is about passwords. Takes time
/// linear in the text's length.
pub fn is_plain(text: &str) -> bool {
    // What takes no room, as between two halves of a token, is no gap.
    let text: String = text.chars().filter(|c| !redact::is_invisible(*c)).collect();
    let lower = text.to_lowercase();
    TALK.iter().all(|word| !lower.contains(word))
        && text.split(|c: char| !c.is_ascii_graphic()).all(is_plain_word)
        && credentials(&text).next().is_none()
}

/// Whether a word is one, or a name, a number or an address: not letters and digits at random.
fn is_plain_word(word: &str) -> bool {
    let mut mixed = 0;
    let mut pieces = word.split(|c: char| !c.is_ascii_alphanumeric());
    word.len() <= LONGEST_WORD
        && pieces.all(|piece| {
            let digits = piece.bytes().filter(u8::is_ascii_digit).count();
            if digits == 0 {
                return piece.len() <= LONGEST_NAME;
            }
            if digits == piece.len() {
                return digits <= LONGEST_NUMBER;
            }
            mixed += 1;
            // `HS256`, `http2`, and the one longer word of the field that has both.
            mixed == 1 && (piece.len() <= LONGEST_MIXED || piece.eq_ignore_ascii_case("base64url"))
        })
}

/// Who talks about these may tell one, in whatever form.
const TALK: [&str; 17] = [
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "private key",
    "api key",
    "apikey",
    "api_key",
    "cookie",
    "contrase",
    "mot de passe",
    "senha",
    "парол",
    "パスワード",
    "密码",
    "密碼",
];

const LONGEST_WORD: usize = 64;
const LONGEST_NAME: usize = 32;
const LONGEST_NUMBER: usize = 20;
const LONGEST_MIXED: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    #[test]
    fn everyday_questions_are_plain() {
        for text in [
            "",
            "Why does my browser only say 1006?",
            "And what is NO_TOKEN? Is HS256 or base64url to blame, on 127.0.0.1:8000?",
            "jwt.exceptions.ExpiredSignatureError: Signature has expired",
            "invalid token: Signature has expired",
            "new WebSocket(url, ['jwt-auth'])",
            "Warum schließt der Server mit 1011, obwohl mein Token gültig ist?",
            "なぜブラウザは1006しか表示しないのですか",
            "{\n  \"page\": \"/login\",\n  \"width\": 1280\n}",
        ] {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not() {
        let (head, tail) = JWT.split_at(9);
        for text in [
            JWT,
            &format!("why is jwt.{JWT} refused?"),
            &format!("{head}\u{200b}{tail}"),
            &format!("{head}\n{tail}"),
            "GET /ws?token=abcdef HTTP/1.1",
            "\"token\": \"abcdef\"",
            "Authorization: Bearer abcdefgh1",
            "wss://anna:hunter@example.com/ws",
            "my password is swordfish",
            "Das Passwort lautet anders",
            "Cookie: a=b",
            "the key sk-ab12-cd34-ef56",
            "550e8400-e29b-41d4-a716-446655440000",
            "deadbeef01",
            "QWxhZGRpbjpvcGVuc2VzYW1lQWxhZGRpbjpvcGVuc2VzYW1l",
            "123456789012345678901",
            &"a.".repeat(40),
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    /// With a time that grew with the square of the length this would not end.
    #[test]
    fn hostile_text_takes_no_time_to_speak_of() {
        for piece in ["jwt.", "jwt. ", "token= ", "bearer ", "://", ":// ", "eyJ ", "token=null ", "jwt, "] {
            let _ = is_plain(&piece.repeat(1 << 14));
        }
    }
}
