//! Certificates made on the spot, and clients that trust them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for this machine, signed with its own key.
pub struct Certified(CertifiedKey<KeyPair>);

/// The two files of a server.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn below(folder: &Path) -> Self {
        Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
    }

    /// The settings that name them.
    pub fn settings(&self) -> [String; 2] {
        let Self { certificate, key } = self;
        [
            format!("server.tls_certificate={}", certificate.display()),
            format!("server.tls_key={}", key.display()),
        ]
    }
}

impl Certified {
    pub fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self(generate_simple_self_signed(names).expect("a certificate"))
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.cert.der()
    }

    /// Its private key, in PEM.
    pub fn key(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    pub fn write(&self, files: &Files) {
        fs::write(&files.certificate, self.0.cert.pem()).expect("a file");
        fs::write(&files.key, self.key()).expect("a file");
    }

    /// A client that trusts this certificate alone.
    pub fn client(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate().clone()).expect("a good certificate");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the default versions need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // So that each connection is shown the certificate of the moment.
        client.resumption = Resumption::disabled();
        TlsConnector::from(Arc::new(client))
    }
}

/// Speaks TLS over a connection.
pub async fn shake_hands(
    client: &TlsConnector,
    stream: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    client.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

/// A connection over TLS, which must succeed.
pub async fn connect(client: &TlsConnector, address: &str) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    shake_hands(client, stream).await.expect("a handshake of TLS")
}
