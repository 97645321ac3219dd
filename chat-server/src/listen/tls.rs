//! The server's certificate and key, which may be replaced while it runs: new handshakes take the
//! new ones, and connections that stand go on as they are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// A certificate with its key, from files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificate {
    files: Arc<Files>,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// Why a certificate could not be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file with the certificate and those that vouch for it.
    #[error("could not read certificates in PEM from {file}: {cause}")]
    Certificate {
        /// Which.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The file with the key.
    #[error("could not read a private key in PEM from {file}: {cause}")]
    Key {
        /// Which.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The two don't belong together, or are of a kind that is not supported.
    #[error("the certificate in {certificate} and the key in {key} can't be used: {cause}")]
    Pair {
        /// One of the files.
        certificate: String,
        /// The other.
        key: String,
        /// Why.
        cause: rustls::Error,
    },
}

impl Certificate {
    /// Reads a certificate, followed by those that vouch for it, and its key, both in PEM.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let current = Arc::new(Current(RwLock::new(Arc::new(files.read()?))));
        Ok(Self { files: Arc::new(files), current })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`read`](Self::read); what was in use stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = Arc::new(self.files.read()?);
        // What is behind the lock is replaced as a whole.
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(super) fn server_config(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the default versions need")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as _)
    }
}

impl Files {
    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let (certificate, key) =
            (self.certificate.display().to_string(), self.key.display().to_string());
        let bad_certificate = |cause| TlsError::Certificate { file: certificate.clone(), cause };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| bad_certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(bad_certificate("there is none in it".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| TlsError::Key { file: key.clone(), cause: error.to_string() })?;
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())
            .map_err(|cause| TlsError::Pair { certificate, key, cause })
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
