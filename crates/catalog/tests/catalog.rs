//! The catalog in a real file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bartizan_catalog::{
    Catalog, CatalogError, Certificate, Enrolment, Import, NewConfiguration, Redeemed, Session, Shut, Token,
    View,
};
use bartizan_model::{HostId, Micros};

fn host(n: u8, name: &str) -> Enrolment {
    Enrolment {
        id: HostId::from_bytes([n; 16]),
        name: name.into(),
        certificate: Certificate {
            serial: format!("{n:02x}"),
            not_after: Micros(1000),
            authority: "aa".into(),
        },
        agent_version: "0.1.0".into(),
        replace: false,
        group: None,
        approval: false,
    }
}

fn token(n: u8, expires: i64, uses_left: u32) -> Token {
    Token {
        hash: [n; 32],
        created: Micros(1),
        expires: Micros(expires),
        uses_left,
        used: 0,
        refused: 0,
        comment: "rack 4".into(),
        group: Some("db".into()),
        networks: vec!["192.0.2.0/24".into(), "2001:db8::/32".into()],
        approval: true,
        revoked: None,
    }
}

async fn new() -> (tempfile::TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
    (dir, catalog)
}

#[tokio::test]
async fn a_token_is_used_as_often_as_it_says() {
    let (_dir, catalog) = new().await;
    catalog.add_token(&token(1, 100, 2)).await.unwrap();
    let redeem = async |n: u8, now| catalog.redeem(&[n; 32], Micros(now)).await.unwrap();
    assert_eq!(redeem(9, 50).await, Redeemed::Unknown);
    assert_eq!(redeem(1, 100).await, Redeemed::Expired);
    assert_eq!(redeem(1, 99).await, Redeemed::Ok);
    assert_eq!(redeem(1, 99).await, Redeemed::Ok);
    assert_eq!(redeem(1, 99).await, Redeemed::Used);
    catalog.give_back(&[1; 32]).await.unwrap();
    assert_eq!(redeem(1, 99).await, Redeemed::Ok);
    let kept = catalog.tokens().await.unwrap();
    assert_eq!(kept, [Token { uses_left: 0, used: 2, ..token(1, 100, 0) }]);
    catalog.refuse(&[1; 32]).await.unwrap();
    assert!(catalog.revoke_token(&[1; 32], Micros(60)).await.unwrap());
    assert!(catalog.revoke_token(&[1; 32], Micros(61)).await.unwrap());
    assert!(!catalog.revoke_token(&[2; 32], Micros(61)).await.unwrap());
    let kept = catalog.token(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((kept.refused, kept.revoked), (1, Some(Micros(60))));
    assert_eq!(redeem(1, 99).await, Redeemed::Revoked);
    assert_eq!(catalog.forget_tokens(Micros(101)).await.unwrap(), 1);
    assert_eq!(redeem(1, 99).await, Redeemed::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_goes_to_one_of_many() {
    let (_dir, catalog) = new().await;
    catalog.add_token(&token(1, 100, 3)).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let catalog = catalog.clone();
            tokio::spawn(async move { catalog.redeem(&[1; 32], Micros(5)).await.unwrap() })
        })
        .collect();
    let mut ok = 0;
    for task in tasks {
        ok += usize::from(task.await.unwrap() == Redeemed::Ok);
    }
    assert_eq!(ok, 3);
}

#[tokio::test]
async fn a_name_belongs_to_one_host() {
    let (_dir, catalog) = new().await;
    catalog.enrol(&host(1, "web-1"), Micros(10)).await.unwrap();
    let refused = catalog.enrol(&host(2, "WEB-1"), Micros(11)).await.unwrap_err();
    assert!(matches!(&refused, CatalogError::NameTaken { host, .. } if *host == HostId::from_bytes([1; 16])));
    assert!(refused.to_string().contains("--replace"), "{refused}");
    assert!(catalog.host(HostId::from_bytes([2; 16])).await.unwrap().is_none());

    // the same key may come again, under the same name or another
    catalog.enrol(&host(1, "web-1"), Micros(12)).await.unwrap();
    assert_eq!(catalog.host(HostId::from_bytes([1; 16])).await.unwrap().unwrap().first_seen, Micros(10));

    catalog.enrol(&Enrolment { replace: true, ..host(2, "web-1") }, Micros(13)).await.unwrap();
    let old = catalog.host(HostId::from_bytes([1; 16])).await.unwrap().unwrap();
    assert_eq!(old.revoked_at, Some(Micros(13)));
    assert_eq!(catalog.host_by_name("Web-1").await.unwrap().unwrap().id, HostId::from_bytes([2; 16]));

    catalog.shut_out(HostId::from_bytes([2; 16]), Shut::Revoked, Micros(14)).await.unwrap();
    catalog.shut_out(HostId::from_bytes([2; 16]), Shut::Revoked, Micros(15)).await.unwrap();
    assert_eq!(
        catalog.host(HostId::from_bytes([2; 16])).await.unwrap().unwrap().revoked_at,
        Some(Micros(14))
    );
    catalog.enrol(&host(3, "web-1"), Micros(16)).await.unwrap();
    assert_eq!(catalog.hosts().await.unwrap().len(), 3, "revoked ones stay");
    let nobody = catalog.shut_out(HostId::from_bytes([9; 16]), Shut::Retired, Micros(17)).await;
    assert!(matches!(nobody, Err(CatalogError::NoHost(_))));
}

#[tokio::test]
async fn a_host_that_waits_takes_nobodys_place_until_it_is_let_in() {
    let (_dir, catalog) = new().await;
    let id = |n: u8| HostId::from_bytes([n; 16]);
    let waiting = |n, name| Enrolment { approval: true, ..host(n, name) };
    let get = async |n| catalog.host(id(n)).await.unwrap().unwrap();
    assert!(!catalog.enrol(&host(1, "a"), Micros(1)).await.unwrap());
    let taken = catalog.enrol(&waiting(2, "a"), Micros(2)).await;
    assert!(
        matches!(taken, Err(CatalogError::NameTaken { .. })),
        "said at once, while somebody is there to read it"
    );
    assert!(catalog.enrol(&Enrolment { replace: true, ..waiting(2, "a") }, Micros(2)).await.unwrap());
    assert!(get(1).await.is_in() && !get(2).await.is_in());
    assert!(matches!(catalog.approve(id(2), false, Micros(3)).await, Err(CatalogError::NameTaken { .. })));
    catalog.approve(id(2), true, Micros(3)).await.unwrap();
    assert_eq!((get(1).await.revoked_at, get(1).await.shut), (Some(Micros(3)), Shut::Revoked));
    assert!(get(2).await.is_in());
    // Whoever is in stays in, whatever token it comes again with; who was shut out waits.
    assert!(!catalog.enrol(&waiting(2, "a"), Micros(4)).await.unwrap());
    assert!(catalog.enrol(&waiting(1, "b"), Micros(5)).await.unwrap());
    catalog.shut_out(id(1), Shut::Retired, Micros(6)).await.unwrap();
    assert_eq!((get(1).await.waiting, get(1).await.shut), (None, Shut::Retired));
    assert!(matches!(catalog.approve(id(1), false, Micros(7)).await, Err(CatalogError::NoHost(_))));
    catalog.let_wait(id(2), "late", Micros(8)).await.unwrap();
    catalog.let_wait(id(2), "later", Micros(9)).await.unwrap();
    assert_eq!(get(2).await.waiting, Some((Micros(8), "later".into())));
}

#[tokio::test]
async fn a_group_has_the_names_that_its_hosts_rows_carry_and_no_others() {
    let (_dir, catalog) = new().await;
    let id = |n: u8| HostId::from_bytes([n; 16]);
    let of = |n, name, group: &str| Enrolment { group: Some(group.into()), ..host(n, name) };
    let members = async |group: &str| catalog.members().await.unwrap().remove(group).unwrap_or_default();
    catalog.enrol(&of(1, "pg1", "db"), Micros(1)).await.unwrap();
    catalog.enrol(&host(2, "other"), Micros(1)).await.unwrap();
    catalog.touch(&[(id(1), Micros(2))]).await.unwrap();
    assert_eq!(members("db").await, ["pg1"]);
    assert!(matches!(catalog.rename(id(1), "OTHER").await, Err(CatalogError::NameTaken { .. })));
    catalog.rename(id(1), "pg2").await.unwrap();
    assert_eq!(members("db").await, ["pg1", "pg2"], "rows of before carry the name of before");
    // Without a group in the token a host stays in its own.
    catalog.enrol(&host(1, "pg2"), Micros(3)).await.unwrap();
    catalog.shut_out(id(1), Shut::Retired, Micros(4)).await.unwrap();
    assert_eq!(members("db").await, ["pg1", "pg2"], "history is kept");
    catalog.enrol(&of(3, "PG1", "web"), Micros(5)).await.unwrap();
    assert_eq!((members("db").await, members("web").await), (vec!["pg2".to_owned()], vec!["pg1".to_owned()]));
    catalog.touch(&[(id(3), Micros(6))]).await.unwrap();
    catalog.shut_out(id(3), Shut::Retired, Micros(7)).await.unwrap();
    assert_eq!(members("web").await, Vec::<String>::new(), "two groups had it, so it is nobody's");
}

#[tokio::test]
async fn contact_and_certificates_are_kept_across_a_restart() {
    let (dir, catalog) = new().await;
    let id = HostId::from_bytes([1; 16]);
    catalog.enrol(&host(1, "a"), Micros(10)).await.unwrap();
    catalog.touch(&[(id, Micros(20)), (HostId::from_bytes([7; 16]), Micros(1))]).await.unwrap();
    catalog.touch(&[(id, Micros(15))]).await.unwrap();
    let newer = Certificate { serial: "ff".into(), not_after: Micros(2000), authority: "aa".into() };
    catalog.renewed(id, &newer, "2").await.unwrap();
    catalog.close().await;
    let catalog = Catalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
    let found = catalog.host(id).await.unwrap().unwrap();
    assert_eq!((found.last_contact, found.certificate), (Some(Micros(20)), newer.clone()));
    catalog.shut_out(id, Shut::Revoked, Micros(30)).await.unwrap();
    assert!(matches!(catalog.renewed(id, &newer, "2").await, Err(CatalogError::NoHost(_))), "revoked");
}

#[tokio::test]
async fn what_is_no_catalog_or_a_newer_one_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.sqlite");
    std::fs::write(&path, "this is not a database, it only lies where one should be ".repeat(40)).unwrap();
    let refused = Catalog::open(&path).await.unwrap_err();
    assert!(refused.to_string().contains("catalog.sqlite"), "{refused}");

    let (dir, catalog) = new().await;
    catalog.close().await;
    let path = dir.path().join("catalog.sqlite");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 700").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(Catalog::open(&path).await, Err(CatalogError::Newer { found: 700, .. })));
}

#[tokio::test]
async fn senders_are_noted_in_the_place_of_what_was_before() {
    let (_dir, catalog) = new().await;
    let sender = |source: &str, messages| bartizan_catalog::Sender {
        host: "gw".into(),
        sender: "192.0.2.1".into(),
        source: source.into(),
        counts: [messages, 2, 3, 4, 5, 6, 7],
        first_seen: Micros(1),
        last_seen: Micros(2),
    };
    catalog.note_senders(&[sender("syslog", 10), sender("ulogd", 20)]).await.unwrap();
    catalog.note_senders(&[sender("syslog", 11)]).await.unwrap();
    assert_eq!(catalog.senders().await.unwrap(), [sender("syslog", 11), sender("ulogd", 20)]);
}

fn import(n: u8, head: Option<u32>, now: i64) -> Import {
    Import {
        id: HostId::from_bytes([n; 16]),
        name: format!("kern.log.{n}"),
        format: "syslog".into(),
        head,
        kinds: "events lines".into(),
        position: 0,
        totals: String::new(),
        started: Micros(now),
        touched: Micros(now),
        finished: None,
        partial: false,
    }
}

#[tokio::test]
async fn imports_keep_their_beginning_and_their_furthest_position() {
    let (_dir, catalog) = new().await;
    let id = HostId::from_bytes([1; 16]);
    assert_eq!(catalog.import(id).await.unwrap(), None);
    catalog.begin_import(&import(1, Some(700), 5)).await.unwrap();
    catalog.begin_import(&import(2, None, 6)).await.unwrap();
    catalog.move_import(id, 900, Some([9; 32]), Micros(7)).await.unwrap();
    catalog.move_import(id, 800, None, Micros(8)).await.unwrap();
    catalog.move_import(id, 200, Some([2; 32]), Micros(8)).await.unwrap();
    let checks: Vec<_> =
        catalog.import_checks(id).await.unwrap().iter().map(|c| (c.position, c.digest[0])).collect();
    assert_eq!(checks, [(200, 2), (900, 9)]);
    let landmark = |n: u8| bartizan_catalog::Check { position: 2048, digest: [n; 32] };
    catalog.note_landmarks(id, &[landmark(1)]).await.unwrap();
    catalog.note_landmarks(id, &[landmark(2)]).await.unwrap();
    assert_eq!(catalog.import_landmarks(id).await.unwrap(), [landmark(1)]);
    catalog.finish_import(id, "{\"records\":3}", true, Micros(9)).await.unwrap();
    // the same again under another name
    catalog.begin_import(&Import { name: "kern.log.2".into(), ..import(1, Some(999), 10) }).await.unwrap();
    let found = catalog.import(id).await.unwrap().unwrap();
    assert_eq!((found.position, found.head, found.started), (900, Some(700), Micros(5)));
    assert_eq!((found.finished, found.touched, found.partial), (Some(Micros(9)), Micros(10), true));
    assert_eq!((found.name.as_str(), found.totals.as_str()), ("kern.log.2", "{\"records\":3}"));
    let names: Vec<_> = catalog.imports(10).await.unwrap().into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["kern.log.2", "kern.log.2"]);
    assert_eq!(catalog.import_heads("syslog").await.unwrap(), [700]);
    assert_eq!(catalog.import_heads("pcap").await.unwrap(), [0_u32; 0]);
}

#[tokio::test]
async fn holds_erasures_and_moments_are_kept_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
    let hold = bartizan_catalog::Hold {
        name: "case 7".into(),
        table: "events".into(),
        filter: "host:web-01".into(),
        comment: "asked for by legal".into(),
        created: Micros(5),
    };
    assert!(catalog.add_hold(&hold).await.unwrap());
    assert!(!catalog.add_hold(&bartizan_catalog::Hold { filter: "".into(), ..hold.clone() }).await.unwrap());
    let first = catalog.add_erasure(Micros(7), "{}").await.unwrap();
    let second = catalog.add_erasure(Micros(8), "{\"rows\":1}").await.unwrap();
    catalog.finish_erasure(first, Micros(9)).await.unwrap();
    catalog.note_moment("upkeep", Micros(10)).await.unwrap();
    catalog.note_moment("upkeep", Micros(11)).await.unwrap();

    // The copy is taken while the catalog is in use, and opens by itself.
    let copy = dir.path().join("copy.db");
    catalog.copy_to(&copy).await.unwrap();
    assert!(catalog.copy_to(&copy).await.is_err(), "never over something");
    assert!(catalog.release_hold("case 7").await.unwrap());
    assert!(!catalog.release_hold("case 7").await.unwrap());
    assert_eq!(catalog.holds().await.unwrap(), []);
    let copy = Catalog::open(&copy).await.unwrap();
    assert_eq!(copy.holds().await.unwrap(), [hold]);
    let erasures = copy.erasures().await.unwrap();
    let told: Vec<_> = erasures.iter().map(|e| (e.id, e.deleted.map(|d| d.0))).collect();
    assert_eq!(told, [(second, None), (first, Some(9))]);
    assert_eq!(copy.moment("upkeep").await.unwrap(), Some(Micros(11)));
    assert_eq!(copy.moment("other").await.unwrap(), None);
}

#[tokio::test]
async fn views_are_kept_replaced_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let catalog = Catalog::open(&path).await.unwrap();
    let view = View {
        name: "ssh from outside".to_owned(),
        table: "events".to_owned(),
        filter: "dport:22 -src:private".to_owned(),
        columns: vec!["time".to_owned(), "src".to_owned()],
        since: Some("1h".to_owned()),
        shared: true,
        changed: Micros(5),
        owner: "anna".to_owned(),
    };
    catalog.put_view(&view).await.unwrap();
    let changed =
        View { columns: Vec::new(), since: None, shared: false, changed: Micros(6), ..view.clone() };
    catalog.put_view(&changed).await.unwrap();
    catalog.put_view(&View { name: "another".to_owned(), ..view.clone() }).await.unwrap();
    catalog.close().await;
    let catalog = Catalog::open(&path).await.unwrap();
    assert_eq!(catalog.views().await.unwrap(), [View { name: "another".to_owned(), ..view }, changed]);
    assert!(catalog.delete_view("another").await.unwrap() && !catalog.delete_view("another").await.unwrap());
    assert_eq!(catalog.views().await.unwrap().len(), 1);
}

#[tokio::test]
async fn sessions_are_kept_used_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let catalog = Catalog::open(&path).await.unwrap();
    let session = |n: u8| Session {
        hash: [n; 32],
        name: format!("s{n}"),
        who: "anna".to_owned(),
        created: Micros(i64::from(n)),
        used: Micros(i64::from(n)),
        address: "192.0.2.1".to_owned(),
        browser: "Browser 1".to_owned(),
    };
    for n in 1..=3 {
        catalog.add_session(&session(n)).await.unwrap();
    }
    assert!(catalog.add_session(&session(3)).await.is_err(), "one secret, one session");
    catalog.use_session(&[2; 32], Micros(70)).await.unwrap();
    catalog.use_session(&[8; 32], Micros(70)).await.unwrap();
    assert!(catalog.end_session("s1").await.unwrap() && !catalog.end_session("s1").await.unwrap());
    catalog.close().await;
    let catalog = Catalog::open(&path).await.unwrap();
    let used = Session { used: Micros(70), ..session(2) };
    assert_eq!(catalog.sessions().await.unwrap(), [session(3), used]);
}

#[tokio::test]
async fn versions_of_configurations_are_counted_over_all_targets_and_stay() {
    let (dir, catalog) = new().await;
    let said = |target: &str, text: &str| NewConfiguration {
        target: target.into(),
        text: text.into(),
        who: "anna".into(),
        comment: "why".into(),
    };
    let (first, before) = catalog.add_configuration(said("*", "a"), Micros(1)).await.unwrap();
    assert_eq!((first.version, before), (1, None));
    catalog.add_configuration(said("group:db", "b"), Micros(2)).await.unwrap();
    let (third, before) = catalog.add_configuration(said("*", "c"), Micros(3)).await.unwrap();
    assert_eq!((third.version, before), (3, Some(first.clone())));
    catalog.close().await;
    let path = dir.path().join("catalog.sqlite");
    let catalog = Catalog::open(&path).await.unwrap();
    let numbers =
        |list: Vec<bartizan_catalog::Configuration>| list.iter().map(|c| c.version).collect::<Vec<_>>();
    assert_eq!(numbers(catalog.configurations().await.unwrap()), [3, 2]);
    let history = async |target, before, limit| {
        numbers(catalog.configuration_history(target, before, limit).await.unwrap())
    };
    assert_eq!(history(None, None, 9).await, [3, 2, 1]);
    assert_eq!(history(Some("*"), Some(3), 9).await, [1]);
    assert_eq!(history(None, None, 1).await, [3]);
    assert_eq!(catalog.configuration(1).await.unwrap(), Some(first));
    assert_eq!(catalog.configuration(u64::MAX).await.unwrap(), None);
    // Not even by whoever has the file.
    catalog.close().await;
    for change in ["UPDATE configurations SET content = ''", "DELETE FROM configurations"] {
        let script =
            format!("import sqlite3; db = sqlite3.connect({path:?}); db.execute({change:?}); db.commit()");
        let told = std::process::Command::new("python3").args(["-c", &script]).output().unwrap();
        assert!(String::from_utf8_lossy(&told.stderr).contains("a version is never"), "{change}: {told:?}");
    }
}
