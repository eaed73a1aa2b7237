//! TLS to a server. Verification cannot be switched off: an authority can be added, or one certificate pinned.

use std::{io::BufReader, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::super::{Failure, Pin, say};

/// Where distributions keep the authorities the machine trusts.
const SYSTEM: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How servers are trusted.
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts the machine's authorities and those of `ca`, or only the certificate of `pin`.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(ca: Option<&Path>, pin: Option<Pin>) -> Result<Self, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(|e| Failure::failed(e.to_string()))?;
        let config = match pin {
            Some(pin) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { pin, provider })).with_no_client_auth(),
            None => builder.with_root_certificates(roots(ca)?).with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks TLS over a connection.
    ///
    /// # Errors
    /// The certificate is not trusted; the sentence says what to do.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::usage(say("cli.bad_url", &[("url", host)])))?;
        self.0.connect(name, stream).await.map_err(|e| Failure::unreachable(say("cli.tls", &[("server", host), ("detail", &e.to_string())])))
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    match SYSTEM.iter().find_map(|p| std::fs::File::open(p).ok()) {
        Some(file) => {
            roots.add_parsable_certificates(CertificateDer::pem_reader_iter(BufReader::new(file)).filter_map(Result::ok));
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    if let Some(path) = ca {
        let bad = |detail: String| Failure::usage(say("cli.bad_ca", &[("file", &path.display().to_string()), ("detail", &detail)]));
        let mut any = false;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
            roots.add(certificate.map_err(|e| bad(e.to_string()))?).map_err(|e| bad(e.to_string()))?;
            any = true;
        }
        if !any {
            return Err(bad("no certificate in it".into()));
        }
    }
    Ok(roots)
}

/// Accepts exactly one certificate, whatever its names and dates; the server still proves that it has the key.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found: [u8; 32] = Sha256::digest(end.as_ref()).into();
        if found == self.pin.0 { Ok(ServerCertVerified::assertion()) } else { Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) }
    }
    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
