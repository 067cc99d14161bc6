//! The wire protocol's types: commands, events, ids and positions in a stream.
