//! TLS for `wss`, with the roots that browsers trust and those that the user adds.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

/// Whose certificates are trusted.
#[derive(Clone, Default)]
pub enum Trust {
    /// The roots that browsers trust.
    #[default]
    Usual,
    /// Those, and the certificates in this PEM beside them.
    With(Vec<u8>),
    /// Any certificate, for tests alone: whoever stands between can read all.
    Anything,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "Usual",
            Self::With(_) => "With(..)",
            Self::Anything => "Anything",
        })
    }
}

/// A connector for that trust. HTTP/1.1 and nothing else: a server that prefers HTTP/2 would take it by ALPN.
///
/// # Errors
/// What is wrong with the certificates of `--ca`.
pub fn connector(trust: &Trust) -> Result<TlsConnector, String> {
    // Named, since another part of the program could bring another provider with it.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let usual = || RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let builder = match trust {
        Trust::Usual => builder.with_root_certificates(usual()),
        Trust::With(pem) => {
            let mut roots = usual();
            add(&mut roots, pem)?;
            builder.with_root_certificates(roots)
        }
        Trust::Anything => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the file of --ca is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("a certificate of --ca cannot be used: {error}"))?;
        any = true;
    }
    if any { Ok(()) } else { Err("the file of --ca has no certificate in it".to_owned()) }
}

/// Takes every certificate; the handshake's signatures are checked all the same.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
