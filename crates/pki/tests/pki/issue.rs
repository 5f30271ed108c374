use crate::now;
use bartizan_model::Micros;
use bartizan_pki::{Authority, HostKey, PkiError, cert_info, host_id_of_cert};
use rustls_pki_types::{CertificateDer, pem::PemObject};

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_host_is_its_key_and_gets_the_name_it_is_given() {
    let authority = Authority::create(now()).unwrap();
    let key = HostKey::generate().unwrap();
    let cert = authority.issue_host(&key.request().unwrap(), "web-1", now(), 7).unwrap();
    let info = cert_info(&der(&cert.pem)).unwrap();
    assert_eq!(info.host, key.id());
    assert_eq!(cert.host, key.id());
    assert_eq!(host_id_of_cert(&der(&cert.pem)).unwrap(), key.id());
    assert_eq!(info.name, "web-1");
    assert_eq!(info.serial, cert.serial);
    let week = info.not_after.0 - now().0;
    assert!((week - 7 * Micros::DAY).abs() < 10_000_000, "{week}");
    assert!(now().0 - info.not_before.0 >= 3_600_000_000, "for clocks that are behind");
}

#[test]
fn only_the_public_key_is_taken_from_a_request() {
    let authority = Authority::create(now()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut greedy = rcgen::CertificateParams::new(vec!["bartizan.example".into()]).unwrap();
    greedy.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "web-9");
    greedy.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    greedy.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let request = greedy.serialize_request(&key).unwrap();
    let cert = authority.issue_host(request.der(), "web-1", now(), 7).unwrap();
    let der = der(&cert.pem);
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert_eq!(cert_info(&der).unwrap().name, "web-1");
    let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names.len(), 1);
    assert!(names[0].to_string().contains(&format!("bartizan:host:{}", cert.host)), "{}", names[0]);
}

#[test]
fn a_damaged_request_never_certifies_another_key() {
    let authority = Authority::create(now()).unwrap();
    let key = HostKey::generate().unwrap();
    let request = key.request().unwrap();
    let mut refused = 0;
    for i in 0..request.len() {
        let mut bad = request.clone();
        bad[i] ^= 0x41;
        match authority.issue_host(&bad, "a", now(), 7) {
            Err(PkiError::Request(_)) => refused += 1,
            // The parser is lenient about tags outside of what is signed; the proof of the key is the same.
            Ok(cert) => assert_eq!(cert.host, key.id(), "byte {i} of {}", bad.len()),
            Err(other) => panic!("byte {i}: {other}"),
        }
        assert!(authority.issue_host(&request[..i], "a", now(), 7).is_err());
    }
    assert!(refused > request.len() - 10, "{refused} of {}", request.len());
    let mut longer = request.clone();
    longer.push(0);
    assert!(authority.issue_host(&longer, "a", now(), 7).is_err());
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let authority = Authority::create(now()).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let refused = authority.issue_host(request.der(), "a", now(), 7).unwrap_err();
    assert!(refused.to_string().contains("P-256"), "{refused}");
}

#[test]
fn names_that_need_quotes_are_refused() {
    let authority = Authority::create(now()).unwrap();
    let request = HostKey::generate().unwrap().request().unwrap();
    for bad in ["", "a b", "a\n", "é", "\x1b[31m", &"x".repeat(65), "a/b"] {
        let refused = authority.issue_host(&request, bad, now(), 7).unwrap_err();
        assert!(matches!(refused, PkiError::Name(_)), "{bad:?}");
        assert!(!refused.to_string().contains('\x1b'));
    }
}

#[test]
fn an_authority_is_read_back_and_shows_no_key() {
    let authority = Authority::create(now()).unwrap();
    let text = authority.reveal_pem();
    let again = Authority::from_pem(&text).unwrap();
    assert_eq!(again.pin(), authority.pin());
    assert!(!format!("{authority:?}").contains("PRIVATE"));
    let issued = authority.issue_server(&["localhost".into()], now(), 90).unwrap();
    assert!(!format!("{issued:?}").contains("PRIVATE"));
    let other = Authority::create(now()).unwrap().reveal_pem();
    let mixed = format!("{}{}", again.cert_pem(), &other[other.find("-----BEGIN PRIVATE").unwrap()..]);
    assert!(matches!(Authority::from_pem(&mixed), Err(PkiError::KeyMismatch(_))));
}
