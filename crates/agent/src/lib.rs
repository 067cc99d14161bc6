//! The agent trait and the agents that come with Portcullis.
