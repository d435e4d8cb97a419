//! Judges certificate chains with rustls-webpki. Each argument is a directory with chain.pem (leaf first) and roots.pem;
//! each gets one line of output: "server: VERDICT; client: VERDICT", where a verdict is "accepted" or the error.
use rustls_pki_types::{pem::PemObject, CertificateDer, UnixTime};
use std::path::Path;
use webpki::{anchor_from_trusted_cert, EndEntityCert, KeyUsage, ALL_VERIFICATION_ALGS};

fn main() {
    for dir in std::env::args().skip(1) {
        let chain = read(&Path::new(&dir).join("chain.pem"));
        let roots = read(&Path::new(&dir).join("roots.pem"));
        let server = judge(&chain, &roots, KeyUsage::server_auth());
        let client = judge(&chain, &roots, KeyUsage::client_auth());
        println!("server: {server}; client: {client}");
    }
}

fn read(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .and_then(|blocks| blocks.collect())
        .expect("a PEM file of certificates")
}

fn judge(chain: &[CertificateDer], roots: &[CertificateDer], usage: KeyUsage) -> String {
    let verified = || {
        let anchors = roots
            .iter()
            .map(anchor_from_trusted_cert)
            .collect::<Result<Vec<_>, _>>()?;
        EndEntityCert::try_from(&chain[0])?.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &chain[1..],
            UnixTime::now(),
            usage,
            None,
            None,
        )?;
        Ok::<(), webpki::Error>(())
    };
    match verified() {
        Ok(()) => "accepted".to_string(),
        Err(error) => format!("{error:?}"),
    }
}
