use crate::now;
use bartizan_model::Micros;
use bartizan_pki::{Authorities, Authority, PkiError, files::*};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn an_authority_is_made_once_and_kept_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = load_or_create_authority(dir.path(), now()).unwrap();
    let mode = fs::metadata(dir.path().join("authority.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Authorities::load_or_create(dir.path(), now()).unwrap();
    assert_eq!(first.pin(), second.current().pin());
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    Authorities::load_or_create(dir.path(), now()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("ca.pem")).unwrap(), first.cert_pem());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn servers_started_at_once_share_one_authority() {
    let dir = tempfile::tempdir().unwrap();
    let pins: Vec<_> = std::thread::scope(|s| {
        let threads: Vec<_> =
            (0..8).map(|_| s.spawn(|| load_or_create_authority(dir.path(), now()).unwrap().pin())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(pins.windows(2).all(|p| p[0] == p[1]), "{pins:?}");
}

#[test]
fn a_damaged_authority_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    load_or_create_authority(dir.path(), now()).unwrap();
    fs::write(dir.path().join("authority.key"), "torn").unwrap();
    assert!(load_or_create_authority(dir.path(), now()).is_err());
    assert_eq!(fs::read_to_string(dir.path().join("authority.key")).unwrap(), "torn");
}

#[test]
fn the_server_certificate_renews_itself() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(now()).unwrap();
    let names = ["localhost".to_owned(), "::1".to_owned()];
    let at = |days: i64| Micros(now().0 + days * Micros::DAY);
    let issue =
        |names: &[String], days| load_or_issue_server(dir.path(), &authority, names, at(days)).unwrap();
    let first = issue(&names, 0);
    assert_eq!(issue(&names, 59).chain_pem, first.chain_pem, "two thirds are not over");
    let renewed = issue(&names, 61);
    assert_ne!(renewed.chain_pem, first.chain_pem);
    assert_eq!(issue(&names, 62).chain_pem, renewed.chain_pem);
    assert_ne!(issue(&names[..1], 62).chain_pem, renewed.chain_pem, "other names");
    fs::write(dir.path().join("server.key"), "torn").unwrap();
    issue(&names, 62);
    let other = Authority::create(now()).unwrap();
    let of_other = load_or_issue_server(dir.path(), &other, &names, at(62)).unwrap();
    assert!(of_other.chain_pem.contains(&other.cert_pem()));
}

#[test]
fn a_host_keeps_its_key_and_refuses_a_certificate_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let host = HostFiles::new(dir.path());
    let key = host.load_or_create_key().unwrap();
    assert_eq!(host.load_or_create_key().unwrap().id(), key.id());
    assert!(host.load().unwrap().is_none(), "not enrolled yet");
    let authority = Authority::create(now()).unwrap();
    let other = bartizan_pki::HostKey::generate().unwrap();
    let wrong = authority.issue_host(&other.request().unwrap(), "b", now(), 7).unwrap();
    assert!(matches!(host.save(&wrong.pem, &authority.cert_pem()), Err(PkiError::KeyMismatch(_))));
    let cert = authority.issue_host(&key.request().unwrap(), "a", now(), 7).unwrap();
    host.save(&cert.pem, &authority.cert_pem()).unwrap();
    assert_eq!(host.load().unwrap().unwrap().info().unwrap().host, key.id());
}
