//! From a user's message to an agent's run to events on that user's sockets.
