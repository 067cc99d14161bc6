//! JWS, JWT and JWK checks: a token, a key set and the time in, an identity out.
