//! Upstreams behind TLS: trusted by a certificate authority of one's own, not trusted, not there.

use crate::hostile::{POLICY, SESSIONS, Stage, program};
use anyhow::{Context, Result};
use e2e::gateway::Setup;
use e2e::{Gateway, Server};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::client::{Answer, CallOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "s3cret-token-of-the-upstream";
/// What is kept of the requests that came out of the TLS.
const HEARD_MAX: usize = 1024 * 1024;

/// A certificate authority that nobody else knows.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn found(directory: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), file })
    }

    fn acceptor(&self) -> Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(TlsAcceptor::from(Arc::new(server)))
    }
}

/// Takes TLS off in front of a server, and keeps what it hears.
struct Terminator {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
    _task: JoinSet<()>,
}

impl Terminator {
    async fn start(acceptor: TlsAcceptor, server: &Server) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}/mcp", listener.local_addr()?.port());
        let behind = server.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let mut task = JoinSet::new();
        let to = Arc::clone(&heard);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind, heard) = (acceptor.clone(), behind.clone(), Arc::clone(&to));
                connections.spawn(async move {
                    let Ok(outside) = acceptor.accept(stream).await else { return };
                    let Ok(inside) = TcpStream::connect(behind).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (tokio::io::split(outside), inside.into_split());
                    tokio::join!(carry(from_client, to_server, Some(&heard)), carry(from_server, to_client, None));
                });
            }
        });
        Ok(Self { url, heard, _task: task })
    }

    fn has_heard(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.heard.lock()).contains(text)
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, heard: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(mut heard) = heard.map(Mutex::lock).filter(|heard| heard.len() < HEARD_MAX) {
            heard.extend_from_slice(&buffer[..length]);
        }
        if to.write_all(&buffer[..length]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The other end may have closed first.
    to.shutdown().await.ok();
}

struct Secured {
    stage: Stage,
    terminator: Terminator,
}

/// A gateway that trusts the authority in `trusted`, in front of a server with a certificate of `signed_by`.
async fn secured(trusted: &Authority, signed_by: &Authority) -> Result<Option<Secured>> {
    if e2e::binary()?.is_none() {
        return Ok(None);
    }
    let server = Server::start(program(), &[]).await?;
    let terminator = Terminator::start(signed_by.acceptor()?, &server).await?;
    let gateway = gateway(trusted, &terminator.url).await?;
    Ok(gateway.map(|gateway| Secured { stage: Stage { gateway, server }, terminator }))
}

async fn gateway(trusted: &Authority, url: &str) -> Result<Option<Gateway>> {
    let mcp = format!("mcp: {{ url: {url:?}, headers: {{ Authorization: \"Bearer ${{UPSTREAM_TOKEN}}\" }} }}");
    let policy = POLICY.replace("mcp: { url: \"{url}\" }", &mcp);
    anyhow::ensure!(policy.contains("UPSTREAM_TOKEN"), "the upstream has a secret");
    let file = trusted.file.display().to_string();
    let environment = [("SSL_CERT_FILE", &*file), ("SSL_CERT_DIR", ""), ("UPSTREAM_TOKEN", SECRET)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Gateway::start_with(Setup { policy, environment }).await
}

/// What an agent hears that cannot reach the upstream; nothing of the secret is in it, nor in the log.
async fn refused(gateway: &Gateway) -> Result<String> {
    let told =
        match testkit::Client::http(&gateway.url_of("ledger"), testkit::client::Identity::speaking(SESSIONS)).await {
            Ok(client) => match append(&client, "never").await {
                Ok(answer) => {
                    assert_eq!(answer.guard_word("executed"), Some("no"), "{answer:?}");
                    answer.text
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
    no_secret(gateway, &told).await?;
    Ok(told + &gateway.log())
}

async fn no_secret(gateway: &Gateway, told: &str) -> Result<()> {
    for text in [told.to_owned(), gateway.log()] {
        assert!(!text.contains(SECRET), "{text}");
    }
    for args in [&["check", "--json"][..], &["doctor", "--json"], &["runs", "--json"]] {
        let output = gateway.cli(args).await?;
        for text in [output.stdout, output.stderr] {
            assert!(!String::from_utf8_lossy(&text).contains(SECRET), "{args:?}");
        }
    }
    Ok(())
}

async fn append(client: &testkit::Client, text: &str) -> Result<Answer, testkit::client::Error> {
    client.call("append", json!({ "text": text }), &CallOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_behind_tls_is_reached_where_its_authority_is_trusted() -> Result<()> {
    let files = tempfile::tempdir()?;
    let ours = Authority::found(files.path(), "ours")?;
    let Some(Secured { stage, terminator }) = secured(&ours, &ours).await? else { return Ok(()) };
    let client = stage.client(SESSIONS).await?;
    let answer = append(&client, "over tls").await?;
    assert!(!answer.is_error, "{answer:?}\n{}", stage.gateway.log());
    assert_eq!(stage.effects(Some("over tls")).await?, 1);
    assert!(terminator.has_heard(&format!("Bearer {SECRET}")), "the upstream gets its token");
    no_secret(&stage.gateway, &answer.text).await?;
    stage.is_well().await
}

//= G1
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_authority_is_not_trusted_gets_nothing_and_the_agent_hears_why() -> Result<()> {
    let files = tempfile::tempdir()?;
    let (ours, theirs) = (Authority::found(files.path(), "ours")?, Authority::found(files.path(), "theirs")?);
    let Some(Secured { stage, terminator }) = secured(&ours, &theirs).await? else { return Ok(()) };
    let told = refused(&stage.gateway).await?;
    assert!(told.contains("certificate is not trusted"), "{told}");
    assert!(!terminator.has_heard("Bearer") && !terminator.has_heard("append"), "nothing of it has left");
    assert_eq!(stage.effects(None).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_behind_tls_that_is_not_there_is_told_as_such() -> Result<()> {
    let files = tempfile::tempdir()?;
    let ours = Authority::found(files.path(), "ours")?;
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr().context("an address")?.port();
    let Some(gateway) = gateway(&ours, &format!("https://localhost:{port}/mcp")).await? else { return Ok(()) };
    let told = refused(&gateway).await?;
    assert!(told.contains("cannot be reached"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_authorities_without_any_is_named_as_the_trouble() -> Result<()> {
    let files = tempfile::tempdir()?;
    let mut ours = Authority::found(files.path(), "ours")?;
    ours.file = files.path().join("empty.pem");
    std::fs::write(&ours.file, "")?;
    let Some(gateway) = gateway(&ours, "https://localhost:1/mcp").await? else { return Ok(()) };
    let told = refused(&gateway).await?;
    assert!(told.contains("no usable certificates"), "{told}");
    Ok(())
}
