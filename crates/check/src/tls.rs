//! TLS for `wss`, with the roots that browsers trust and those that the user adds.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

/// A connector that trusts the usual roots, and the certificates in `ca` (PEM) beside them.
pub(crate) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = ca {
        let mut any = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("the file of --ca is not PEM: {error}"))?;
            roots
                .add(certificate)
                .map_err(|error| format!("a certificate of --ca cannot be used: {error}"))?;
            any = true;
        }
        if !any {
            return Err("the file of --ca has no certificate in it".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // HTTP/1.1 and nothing else: a server that prefers HTTP/2 would take it by ALPN.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
