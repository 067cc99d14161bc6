//! Which tool is called with what, and why.

use portcullis_agent::{ToolError, ToolOutput};
use portcullis_diagnose::Report;
use portcullis_reason::Reason;
use serde_json::{Value, json};

use super::{catalogue, context::Context, form, log, proxy, server, token};
use crate::{
    case::Case,
    found::Token,
    knowledge::Entry,
    scan::{credential::Pasted, nginx::Settings, offer::Offer},
    surroundings::Refusal,
};

/// One call of a tool.
#[derive(Debug)]
pub(crate) enum Call {
    /// Decodes a token without its signature.
    DecodeToken(Token),
    /// Asks the handshake core what it says to a form of credentials.
    CheckTokenForm(Offer),
    /// Asks the handshake core what it says to a whole request head.
    CheckRequest(Pasted),
    /// Looks into what a server answered.
    CheckResponse(Offer),
    /// Looks into a proxy's settings.
    CheckProxySettings(Settings),
    /// Tells cause from consequence in a log or an archive.
    DiagnoseLog(Box<Report>),
    /// Looks log lines, errors and questions up.
    LookUp { quoted: Vec<&'static Entry>, asked: Vec<&'static Entry>, about_numbers: Option<&'static Entry> },
    /// Explains a reason of the catalogue.
    ExplainReason(Reason),
    /// Explains a close code.
    ExplainCloseCode(u16),
    /// Explains an HTTP status as the answer to a handshake.
    ExplainStatus(u16),
    /// Audits the running configuration.
    AuditConfiguration,
    /// Sums up the asking user's own refusals.
    RecentRefusals(Vec<Refusal>),
}

impl Call {
    /// The tool's name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::DecodeToken(_) => "decode_token",
            Self::CheckTokenForm(_) => "check_token_form",
            Self::CheckRequest(_) => "check_request",
            Self::CheckResponse(_) => "check_response",
            Self::CheckProxySettings(_) => "check_proxy_settings",
            Self::DiagnoseLog(_) => "diagnose_log",
            Self::LookUp { .. } => "look_up",
            Self::ExplainReason(_) => "explain_reason",
            Self::ExplainCloseCode(_) => "explain_close_code",
            Self::ExplainStatus(_) => "explain_status",
            Self::AuditConfiguration => "audit_configuration",
            Self::RecentRefusals(_) => "recent_refusals",
        }
    }

    /// Its arguments, as they are shown.
    pub(crate) fn args(&self) -> Value {
        match self {
            Self::DecodeToken(token) => token::args(token),
            Self::CheckTokenForm(offer) | Self::CheckResponse(offer) => form::args(offer),
            Self::CheckRequest(head) => json!({ "head_bytes": head.as_str().len() }),
            Self::CheckProxySettings(_) => json!({ "proxy": "nginx" }),
            Self::DiagnoseLog(report) => json!({ "lines": report.read.lines }),
            Self::LookUp { quoted, asked, .. } => {
                json!({ "lines_recognised": quoted.len(), "questions": asked.len() })
            }
            Self::ExplainReason(reason) => json!({ "reason": reason }),
            Self::ExplainCloseCode(code) => json!({ "code": code }),
            Self::ExplainStatus(status) => json!({ "status": status }),
            Self::AuditConfiguration | Self::RecentRefusals(_) => json!({}),
        }
    }

    /// Why it is called, in a sentence for the user.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::DecodeToken(_) => {
                "Decoding the token shows its form, its times and who issued it; the signature \
                                     stays out of it."
                    .to_owned()
            }
            Self::CheckTokenForm(_) => {
                "How the token was sent matters as much as the token: asking this gateway's \
                                        handshake core what it would answer."
                    .to_owned()
            }
            Self::CheckRequest(_) => {
                "This is a whole request: running it through this gateway's own checks.".to_owned()
            }
            Self::CheckResponse(_) => {
                "A server's answer names a subprotocol: checking that it is a good choice.".to_owned()
            }
            Self::CheckProxySettings(_) => {
                "These are settings of nginx: checking that upgrade, token and host pass.".to_owned()
            }
            Self::DiagnoseLog(_) => {
                "This is a log: counting what failed in it, and telling causes from what follows from them."
                    .to_owned()
            }
            Self::LookUp { quoted, .. } if !quoted.is_empty() => {
                "I know this text: looking up where it comes from.".to_owned()
            }
            Self::LookUp { .. } => {
                "This is a question without evidence: looking up what is known about it.".to_owned()
            }
            Self::ExplainReason(reason) => format!("The catalogue tells cause and cure of {reason}."),
            Self::ExplainCloseCode(code) => format!("Looking up who sends close code {code}, and why."),
            Self::ExplainStatus(status) => {
                format!("Looking up what HTTP {status} means as the answer to a handshake.")
            }
            Self::AuditConfiguration => "Reading this gateway's running configuration.".to_owned(),
            Self::RecentRefusals(_) => "Reading what this gateway refused to you lately.".to_owned(),
        }
    }

    /// Runs it and adds to `case` what follows.
    pub(crate) fn run(&self, context: &Context, case: &mut Case) -> Result<ToolOutput, ToolError> {
        match self {
            Self::DecodeToken(token) => Ok(token::decode(token, context, case)),
            Self::CheckTokenForm(offer) => form::check(offer, context, case),
            Self::CheckRequest(head) => form::check_request(head, context, case),
            Self::CheckResponse(offer) => Ok(form::check_response(offer, case)),
            Self::CheckProxySettings(settings) => Ok(proxy::check(settings, context, case)),
            Self::DiagnoseLog(report) => Ok(log::diagnose(report, case)),
            Self::LookUp { quoted, asked, about_numbers } => {
                Ok(catalogue::look_up(quoted, asked, *about_numbers, context, case))
            }
            Self::ExplainReason(reason) => Ok(catalogue::reason(*reason, context, case)),
            Self::ExplainCloseCode(code) => Ok(catalogue::close_code(*code, context, case)),
            Self::ExplainStatus(status) => Ok(catalogue::status(*status, case)),
            Self::AuditConfiguration => Ok(server::audit(context, case)),
            Self::RecentRefusals(refusals) => Ok(server::refusals(refusals, context, case)),
        }
    }
}
