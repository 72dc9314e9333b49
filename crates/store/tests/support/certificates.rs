//! Certificates of a private authority, and servers with TLS.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bookingq_harness::port::free_address;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use bookingq_store::redis::{PemSource, RedisTls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// The files of an authority, of a server and of a client, in one folder.
pub struct Files(TempDir);

impl Files {
    /// Of a new authority; the server's certificate is for `name`.
    pub fn issue(name: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew(name);
        files
    }

    /// Replaces all of them.
    pub fn renew(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        std::fs::write(self.path("ca.crt"), ca).unwrap();
        for (file, name) in [("server", name), ("client", "worker")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            // A certificate with the name of its issuer counts as self-signed.
            params.distinguished_name.push(DnType::CommonName, file);
            let certificate = params.signed_by(&key, &issuer).unwrap().pem();
            std::fs::write(self.path(&format!("{file}.crt")), certificate).unwrap();
            std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        Path::new(self.0.path()).join(file)
    }

    pub fn pem(&self, file: &str) -> PemSource {
        PemSource::File(self.path(file))
    }

    /// What a worker is given.
    pub fn of_worker(&self) -> RedisTls {
        let identity = Some((self.pem("client.crt"), self.pem("client.key")));
        RedisTls { ca: Some(self.pem("ca.crt")), identity }
    }
}

/// The settings of a server that asks its clients for certificates.
pub fn settings(files: &Files, tls: SocketAddr) -> Vec<String> {
    let file = |file| files.path(file).display().to_string();
    [
        ("--tls-port", tls.port().to_string()),
        ("--tls-cert-file", file("server.crt")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.crt")),
        ("--tls-auth-clients", "yes".to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

/// Such a server, with its TLS port.
pub fn server(files: &Files) -> (RedisServer, SocketAddr) {
    server_with(files, &[])
}

/// Such a server with these settings, too.
pub fn server_with(files: &Files, more: &[&str]) -> (RedisServer, SocketAddr) {
    let tls = free_address().unwrap();
    let mut options = RedisOptions::new(Fsync::Off);
    options.options = settings(files, tls).into_iter().map(Into::into).collect();
    options.options.extend(more.iter().map(Into::into));
    (options.start(|_| ()).unwrap(), tls)
}
