//! Ways to etcd, and what is said where there is none.

use std::error::Error as _;
use std::time::{Duration, Instant};

use registry::{Error, Expected, Options, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sample::{file, write};
use crate::server::{Etcd, free_port};
use crate::watching::until;

const LIMIT: Duration = Duration::from_secs(1);

fn options(endpoints: &[&str]) -> Options {
    let endpoints = endpoints.iter().map(ToString::to_string).collect();
    Options {
        endpoints,
        request_timeout: LIMIT,
        ..Options::default()
    }
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_told_in_time() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let registry = Registry::connect(&options(&[&nobody])).await.unwrap();
    let begun = Instant::now();
    let error = registry.ping().await.unwrap_err();
    assert!(matches!(error, Error::Etcd { .. }), "{error:?}");
    assert!(error.source().is_some(), "the cause is there");
    assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    assert_eq!(registry.last_contact(), None);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let registry = Registry::connect(&options(&[&silent])).await.unwrap();
    let begun = Instant::now();
    let error = registry.ping().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_without_the_v3_api_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        // as a server of HTTP/1 does: read, refuse, and close once the client has
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 1024];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request";
            connection.write_all(refusal).await.unwrap();
            tokio::spawn(async move { connection.read(&mut request).await });
        }
    });
    let registry = Registry::connect(&options(&[&old])).await.unwrap();
    let error = registry.ping().await.unwrap_err();
    assert!(matches!(error, Error::NotV3 { .. }), "{error:?}");
    server.abort();
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_once() {
    let refused = |options: Options| async move {
        Registry::connect(&options).await.unwrap_err().to_string()
    };
    assert!(refused(options(&[])).await.contains("no endpoint"));
    assert!(
        refused(options(&["http://a:1", "https://b:1"]))
            .await
            .contains("mixed")
    );
    let tls = options(&["https://b:1"]);
    let cert_only = Options {
        cert_file: Some("cert.pem".into()),
        ..tls.clone()
    };
    assert!(refused(cert_only).await.contains("together"));
    let no_file = Options {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..tls
    };
    assert!(refused(no_file).await.contains("/nonexistent/ca.pem"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_beside_a_live_one_is_not_noticed() {
    let Some(etcd) = Etcd::start(&[]).await else {
        return;
    };
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let registry = Registry::connect(&options(&[&nobody, &etcd.url()]))
        .await
        .unwrap();
    for _ in 0..50 {
        registry.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_endpoint_costs_one_attempt_and_is_left_alone_then() {
    let Some(etcd) = Etcd::start(&[]).await else {
        return;
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    // whichever it begins with
    for endpoints in [[&silent, &etcd.url()], [&etcd.url(), &silent]] {
        let registry = Registry::connect(&options(&endpoints.map(String::as_str)))
            .await
            .unwrap();
        registry.ping().await.unwrap();
        let begun = Instant::now();
        for _ in 0..20 {
            registry.ping().await.unwrap();
        }
        assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_open_a_guarded_etcd_even_after_the_token_expires() {
    let Some(etcd) = Etcd::start(&["--auth-token-ttl", "1"]).await else {
        return;
    };
    enable_auth(&etcd).await;
    let refused = etcd.registry().await.ping().await.unwrap_err();
    assert!(
        refused
            .source()
            .unwrap()
            .to_string()
            .contains("user name is empty"),
        "{refused:?}"
    );

    let right = Options {
        username: "root".into(),
        password: "secret".into(),
        ..etcd.options()
    };
    let wrong = Options {
        password: "guess".into(),
        ..right.clone()
    };
    let refused = Registry::connect(&wrong)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert!(
        refused
            .source()
            .unwrap()
            .to_string()
            .contains("authentication failed"),
        "{refused:?}"
    );

    let registry = Registry::connect(&right).await.unwrap();
    let mut mirror = registry.mirror().await;
    // the token's time is counted from its last use, in steps of a second
    tokio::time::sleep(Duration::from_secs(3)).await;
    registry
        .put_units(&[write("a.service", &file("a"), Expected::Absent)])
        .await
        .unwrap();
    until(&mut mirror, "the unit", |cluster| cluster.units.len() == 1).await;
}

async fn enable_auth(etcd: &Etcd) {
    let mut client = etcd.client().await;
    client.role_add("root").await.unwrap();
    client.user_add("root", "secret", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.auth_enable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_for_an_etcd_that_asks_for_none_is_no_obstacle() {
    let Some(etcd) = Etcd::start(&[]).await else {
        return;
    };
    let options = Options {
        username: "root".into(),
        password: "secret".into(),
        ..etcd.options()
    };
    Registry::connect(&options)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked_both_ways() {
    let certificates = Certificates::make();
    let path = |name: &str| certificates.dir.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (text("ca.pem"), text("server.pem"), text("server.key"));
    let args = [
        "--cert-file",
        &cert,
        "--key-file",
        &key,
        "--trusted-ca-file",
        &ca,
        "--client-cert-auth",
    ];
    let Some(etcd) = Etcd::spawn(&args) else {
        return;
    };

    let right = Options {
        ca_file: Some(path("ca.pem")),
        cert_file: Some(path("client.pem")),
        key_file: Some(path("client.key")),
        ..etcd.options()
    };
    Registry::connect(&right)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();

    let stranger = Options {
        cert_file: None,
        key_file: None,
        request_timeout: LIMIT,
        ..right.clone()
    };
    Registry::connect(&stranger)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    let other_ca = Options {
        ca_file: Some(path("other-ca.pem")),
        request_timeout: LIMIT,
        ..right
    };
    let error = Registry::connect(&other_ca)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert!(
        format!("{error:?}").contains("InvalidCertificate"),
        "{error:?}"
    );
}

/// An authority, a server and a client it vouches for, and an authority that nobody knows.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let dir = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        let ca = authority();
        write("ca.pem", ca.pem());
        write("other-ca.pem", authority().pem());
        for name in ["server", "client"] {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            write(
                &format!("{name}.pem"),
                params.signed_by(&key, &ca).unwrap().pem(),
            );
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Certificates { dir }
    }
}

fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}
