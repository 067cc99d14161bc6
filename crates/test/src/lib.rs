//! What the tests share: keys, tokens, a running server, a peer that writes exact bytes.
