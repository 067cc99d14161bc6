//! wss://, with a certificate of our own.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_load::{Scenario, Trust};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use crate::{
    only, plan, run_until,
    server::{Habits, Server},
};

#[test]
fn tls_is_spoken_and_certificates_are_checked() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = Server::over(Habits::default(), move |socket| {
        Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket))
    });
    // As files of --ca have it.
    let body = STANDARD.encode(cert.der());
    let pem = || {
        Trust::With(format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").into_bytes())
    };
    let run = |host: &str, trust: Trust| {
        let url = format!("wss://{host}:{}/", server.address.port());
        let plan = crate::Plan { trust, ..plan(&url, &[Scenario::Messages]) };
        run_until(&plan, CancellationToken::new(), |_| {})
    };

    let report = run("localhost", pem()).unwrap();
    assert!(only(&report).succeeded > 0 && only(&report).failed == 0, "{:?}", only(&report).errors);
    let report = run("127.0.0.1", Trust::Anything).unwrap();
    assert!(only(&report).succeeded > 0);

    // An authority that nobody knows, and a name that is not the certificate's.
    for (host, trust) in [("localhost", Trust::Usual), ("127.0.0.1", pem())] {
        let message = run(host, trust).unwrap_err().to_string();
        assert!(message.contains("tls: ") && message.contains("--ca FILE"), "{message}");
    }
    let message = run("localhost", Trust::With(b"nothing".to_vec())).unwrap_err().to_string();
    assert!(message.contains("has no certificate in it"), "{message}");
}
