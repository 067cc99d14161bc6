//! `wss`: the same server behind TLS.

use std::{net::Ipv4Addr, sync::Arc};

use portcullis_check::{CouldNotRun, Selection, Verdict};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{Bed, options};

/// Runs cases against a bed through TLS, with and without trusting the authority that signed its certificate.
fn run(trusted: bool) -> Result<portcullis_check::Report, CouldNotRun> {
    let bed = Bed::start("");
    let only = ["rfc6455/4.2.2/".to_owned(), "rule/before-101/".to_owned(), "rfc6455/5.5".to_owned()];
    let mut options = options(&bed, Selection::new(&only, &[], &[], Vec::new()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        options.target.port = listener.local_addr().unwrap().port();
        options.target.secure = true;
        options.login = None;
        options.ca = trusted.then(|| include_bytes!("tls/ca.pem").to_vec());
        tokio::select! {
            report = portcullis_check::run(options, &()) => report,
            () = terminate(listener, &bed) => unreachable!("it serves for ever"),
        }
    })
}

async fn terminate(listener: TcpListener, bed: &Bed) {
    let acceptor = TlsAcceptor::from(Arc::new(server()));
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, address) = (acceptor.clone(), bed.address);
        tasks.spawn(async move {
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let mut inside = TcpStream::connect(address).await.unwrap();
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
        while tasks.try_join_next().is_some() {}
    }
}

/// A certificate for 127.0.0.1, for tests alone.
fn server() -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

#[test]
fn a_server_behind_tls_is_tested_like_any_other() {
    let report = run(true).unwrap();
    assert!(report.target.starts_with("wss://"));
    let open: Vec<String> =
        report.cases.iter().filter(|finding| finding.verdict != Verdict::Pass).map(crate::shown).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_told_with_its_remedy() {
    let error = run(false).unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer") && error.contains("--ca"), "{error}");
}
