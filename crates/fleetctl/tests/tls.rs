//! Towards `https://` the server is verified: against `--ca-file`, or not at all when asked by name.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[test]
fn the_server_is_verified_and_so_is_the_client() {
    let pki = Pki::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let endpoint = runtime.block_on(serve(&pki));
    let list = |flags: &[&str]| fleetctl(&endpoint, flags);
    let (ca, cert, key) = (
        pki.path("ca.pem"),
        pki.path("client.pem"),
        pki.path("client.key"),
    );
    let (ca, cert, key) = (
        ca.to_str().unwrap(),
        cert.to_str().unwrap(),
        key.to_str().unwrap(),
    );
    let identity = ["--cert-file", cert, "--key-file", key];

    let trusted = list(&[&["--ca-file", ca], &identity[..]].concat());
    assert_eq!(
        text(&trusted.stdout),
        "MACHINE\tIP\tMETADATA\n",
        "{trusted:?}"
    );

    let stranger = list(&[&["--ca-file", cert], &identity[..]].concat());
    assert_eq!(stranger.status.code(), Some(1));
    assert!(
        text(&stranger.stderr).contains("invalid peer certificate"),
        "{stranger:?}"
    );
    assert!(
        text(&stranger.stderr).ends_with("see --ca-file, --cert-file and --key-file\n"),
        "{stranger:?}"
    );

    let insecure = list(&[&["--insecure-skip-tls-verify"], &identity[..]].concat());
    assert!(insecure.status.success(), "{insecure:?}");

    let nobody = list(&["--ca-file", ca]);
    assert_eq!(
        nobody.status.code(),
        Some(1),
        "a client without a certificate was let in: {nobody:?}"
    );
}

fn fleetctl(endpoint: &str, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetctl"));
    command
        .args(["list-machines", "--endpoint", endpoint])
        .args(flags)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Answers each connection's first request with an empty list.
async fn serve(pki: &Pki) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(pki.server_config()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // a client that does not trust us goes away
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let read = stream.read(&mut [0; 4096]).await;
            if read.is_ok_and(|bytes| bytes > 0) {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    .await
                    .unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    endpoint
}

/// A certificate authority, a server and a client, as PEM files.
struct Pki(TempDir);

impl Pki {
    fn new() -> Self {
        let pki = Pki(tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        pki.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            pki.write(
                &format!("{name}.pem"),
                &params.signed_by(&key, &issuer).unwrap().pem(),
            );
            pki.write(&format!("{name}.key"), &key.serialize_pem());
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn server_config(&self) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.path("ca.pem")));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                certificates(&self.path("server.pem")),
                private_key(&self.path("server.key")),
            )
            .unwrap()
    }
}

fn certificates(path: &Path) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_file_iter(path)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn private_key(path: &Path) -> PrivateKeyDer<'static> {
    use rustls::pki_types::pem::PemObject;
    PrivateKeyDer::from_pem_file(path).unwrap()
}
