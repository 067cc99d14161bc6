//! `docs/protocol/*.schema.json`: the wire protocol as JSON Schema, one file for each direction.

use anyhow::Result;
use portcullis_event::schema;

use crate::Output;

pub(crate) fn outputs() -> Result<Vec<Output>> {
    [("client", schema::client()), ("server", schema::server())]
        .into_iter()
        .map(|(direction, schema)| {
            let text = serde_json::to_string_pretty(&schema)? + "\n";
            Ok(Output::new(format!("docs/protocol/{direction}.schema.json"), text))
        })
        .collect()
}
