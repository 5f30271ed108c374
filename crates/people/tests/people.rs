//! People over a real catalog: who gets in, who does not, and what of it is kept.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use bartizan_catalog::Catalog;
use bartizan_model::{Micros, Role};
use bartizan_people::{
    Change, Deed, NewAccess, NewUser, People, PeopleError, Principal, PrincipalKind, ProvidedSignIn, Refused,
    SignIn,
};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const GOOD: &str = "pale horse under the wire";
const MINUTE: i64 = 60_000_000;

/// A clock for each test: a function has no state of its own.
macro_rules! clock {
    ($clock:ident, $set:ident) => {
        static NOW: AtomicI64 = AtomicI64::new(1_795_410_043_000_000);
        let $clock: fn() -> Micros = || Micros(NOW.load(Ordering::SeqCst));
        let $set = |minutes: i64| {
            NOW.fetch_add(minutes * MINUTE, Ordering::SeqCst);
        };
    };
}

async fn catalog(dir: &tempfile::TempDir) -> Catalog {
    Catalog::open(&dir.path().join("catalog.db")).await.unwrap()
}

fn new(name: &str, role: Role) -> NewUser {
    NewUser { name: name.to_owned(), role, scope: None, payload: false }
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn attempt<'a>(user: &'a str, password: &'a str, from: Option<IpAddr>) -> SignIn<'a> {
    SignIn { user, password, code: None, from }
}

fn refused(result: Result<Principal, PeopleError>) -> Refused {
    match result {
        Err(PeopleError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_administrator_has_a_quarter_of_an_hour() {
    clock!(clock, later);
    let dir = tempfile::tempdir().unwrap();
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    let first = people.invite_first().await.unwrap().unwrap();
    assert_eq!((first.name.as_str(), first.until.0), ("admin", clock().0 + 15 * MINUTE));
    later(15);
    assert!(matches!(people.accept(&first.code, GOOD).await, Err(PeopleError::Invitation)));
    // A restart invites again, with another code.
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    let second = people.invite_first().await.unwrap().unwrap();
    assert_ne!(first.code, second.code);
    assert!(matches!(people.accept(&second.code, "123456789012").await, Err(PeopleError::Weak(_))));
    let who = people.accept(&second.code, GOOD).await.unwrap();
    assert_eq!((who.role, who.kind, who.payload), (Role::Admin, PrincipalKind::User, true));
    assert_eq!(people.invite_first().await.unwrap().map(|i| i.name), None);
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    assert_eq!(people.invite_first().await.unwrap().map(|i| i.name), None);
    let local = people.holder("token").unwrap();
    let maker = people.maker(&local);
    assert_eq!((people.principal(&maker), people.principal("local")), (Some(local), None));
    let other = People::load(catalog(&dir).await, "another", clock).await.unwrap();
    assert_eq!(other.principal(&maker), None, "a session of the token that was there before");
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [GOOD, second.code.as_str()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn guessing_is_slow_and_shuts_nobody_out() {
    clock!(clock, _later);
    let dir = tempfile::tempdir().unwrap();
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    let invitation = people.add(new("anna", Role::Viewer)).await.unwrap();
    people.accept(&invitation.code, GOOD).await.unwrap();
    let (home, now) = (ip("192.0.2.1"), Instant::now());
    people.sign_in(attempt("anna", GOOD, home), now).await.unwrap();
    // From many networks, so that no network is over its own bound.
    let mut hashed = 0;
    for n in 0..100_000_u32 {
        let from = Some(IpAddr::from((0x0a00_0000 + n * 7).to_be_bytes()));
        match refused(people.sign_in(attempt("anna", "wrong and long enough", from), now).await) {
            Refused::Wrong => hashed += 1,
            Refused::TooMany(wait) => assert!(wait <= Duration::from_secs(60)),
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=10).contains(&hashed), "{hashed} guesses in one minute");
    assert_eq!(
        people.sign_in(attempt("anna", GOOD, home), now).await.unwrap().name,
        "anna",
        "from where she was"
    );
    let elsewhere = people.sign_in(attempt("anna", GOOD, ip("198.51.100.1")), now).await;
    assert!(matches!(refused(elsewhere), Refused::TooMany(_)));
    let later = now + Duration::from_secs(61);
    people.sign_in(attempt("anna", GOOD, ip("198.51.100.1")), later).await.unwrap();
    // One network is over its bound for every account.
    for _ in 0..10 {
        assert_eq!(
            refused(people.sign_in(attempt("nobody", "x", ip("203.0.113.9")), later).await),
            Refused::Wrong
        );
    }
    let more = people.sign_in(attempt("anna", GOOD, ip("203.0.113.9")), later).await;
    assert!(matches!(refused(more), Refused::TooMany(_)));
    assert_eq!(
        people.sign_in_with_token("token", ip("203.0.113.9"), later),
        Err(Refused::TooMany(Duration::from_secs(60)))
    );
    assert_eq!(people.sign_in_with_token("token", home, later).unwrap(), Principal::local());
}

#[tokio::test]
async fn a_second_factor_is_wanted_once_it_was_shown_and_each_code_counts_once() {
    clock!(clock, later);
    let dir = tempfile::tempdir().unwrap();
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    let invitation = people.add(new("anna", Role::Viewer)).await.unwrap();
    people.accept(&invitation.code, GOOD).await.unwrap();
    assert!(matches!(
        people.begin_second("anna", "wrong and long").await,
        Err(PeopleError::Refused(Refused::Wrong))
    ));
    assert!(matches!(people.confirm_second("anna", "123456").await, Err(PeopleError::NotBegun)));
    let begun = people.begin_second("anna", GOOD).await.unwrap();
    assert!(begun.uri.contains(&begun.secret) && begun.uri.starts_with("otpauth://totp/Bartizan:anna?"));
    let code = |at: Micros| {
        let secret = totp_rs::Secret::try_from_base32(&begun.secret).unwrap();
        let totp = totp_rs::Builder::new().with_secret(secret).build_noncompliant();
        totp.generate(u64::try_from(at.0 / 1_000_000).unwrap()).to_string()
    };
    // It does not count before it was shown.
    people.sign_in(attempt("anna", GOOD, None), Instant::now()).await.unwrap();
    people.confirm_second("anna", &code(clock())).await.unwrap();
    let sign_in = async |code: Option<&str>| {
        people.sign_in(SignIn { code, ..attempt("anna", GOOD, None) }, Instant::now()).await
    };
    assert_eq!(refused(sign_in(None).await), Refused::CodeNeeded);
    assert_eq!(refused(sign_in(Some(&code(clock()))).await), Refused::Wrong, "it confirmed");
    later(1);
    let next = code(clock());
    sign_in(Some(&next)).await.unwrap();
    assert_eq!(refused(sign_in(Some(&next)).await), Refused::Wrong, "used");
    let wrong = SignIn { code: Some(&next), ..attempt("anna", "wrong and long", None) };
    assert_eq!(
        refused(people.sign_in(wrong, Instant::now()).await),
        Refused::Wrong,
        "no word about the code"
    );
    people.remove_second("anna", GOOD).await.unwrap();
    sign_in(None).await.unwrap();
}

#[tokio::test]
async fn tokens_end_are_revoked_and_go_with_their_user() {
    clock!(clock, later);
    let dir = tempfile::tempdir().unwrap();
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    let invitation = people.add(new("anna", Role::Analyst)).await.unwrap();
    let anna = people.accept(&invitation.code, GOOD).await.unwrap();
    let token = |name: &str, days| NewAccess {
        name: name.to_owned(),
        role: None,
        scope: None,
        payload: false,
        service: false,
        days,
        comment: "for\u{1b} tests".to_owned(),
    };
    let short = people.make_access(&anna, token("short", Some(1))).await.unwrap();
    let long = people.make_access(&anna, token("long", None)).await.unwrap();
    assert!(matches!(people.make_access(&anna, token("long", None)).await, Err(PeopleError::Taken("token"))));
    assert!(matches!(people.make_access(&anna, token("no good", None)).await, Err(PeopleError::TokenName)));
    assert_eq!(people.holder(&short.token).unwrap().name, "token:short");
    assert_eq!(people.principal("token:short").unwrap().role, Role::Analyst);
    assert_eq!(people.access_tokens(&anna)[0].comment, "for tests");
    assert!(people.access_tokens(&people.holder(&long.token).unwrap()).is_empty(), "a token sees no other");
    later(24 * 60);
    assert_eq!(people.holder(&short.token), None);
    let holder = people.holder(&long.token).unwrap();
    people.used(&holder).await.unwrap();
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    assert_eq!(people.access_tokens(&anna)[0].used, Some(clock()));
    let change = Change {
        name: "ANNA".into(),
        role: Some(Role::Viewer),
        scope: Some("host:a".into()),
        payload: None,
        disabled: None,
    };
    let (old, new) = people.change_user(change).await.unwrap();
    assert_eq!((old.role, new.role, new.scope.as_deref()), (Role::Analyst, Role::Viewer, Some("host:a")));
    let holder = people.holder(&long.token).unwrap();
    assert_eq!((holder.role, holder.scope.as_deref()), (Role::Viewer, Some("host:a")));
    people.delete_user("anna").await.unwrap();
    assert_eq!((people.holder(&long.token), people.principal("anna")), (None, None));
    let people = People::load(catalog(&dir).await, "token", clock).await.unwrap();
    assert_eq!((people.holder(&long.token), people.users().len()), (None, 0));
}

#[tokio::test]
async fn a_log_that_somebody_changed_is_not_whole() {
    clock!(clock, later);
    let dir = tempfile::tempdir().unwrap();
    let catalog = catalog(&dir).await;
    let people = People::load(catalog.clone(), "token", clock).await.unwrap();
    let trail = people.trail();
    for n in 0..5 {
        // A clock that goes back does not take the log with it.
        later(if n == 2 { -10 } else { 1 });
        let deed =
            Deed { who: "anna".into(), what: "export", about: Some(format!("{n}")), ..Deed::default() };
        trail.note(deed).await.unwrap();
    }
    let whole = trail.verify().await.unwrap();
    assert_eq!((whole.entries, whole.broken_at), (5, None));
    let (url, mut at) = (dir.path().join("catalog.db"), 5);
    for (sql, broken) in [
        ("UPDATE audit SET about = '9' WHERE id = 4", 4_i64),
        ("UPDATE audit SET who = 'annaexport', what = '' WHERE id = 3", 3),
        ("DELETE FROM audit WHERE id = 2", 2),
        ("UPDATE audit SET at = at + 1 WHERE id = 1", 1),
    ] {
        let done = std::process::Command::new("sqlite3").arg(&url).arg(sql).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no sqlite3");
            return;
        }
        let seen = trail.verify().await.unwrap();
        assert_eq!((seen.broken_at, seen.entries), (Some(broken), broken.cast_unsigned() - 1), "{sql}");
        assert!(broken < at);
        at = broken;
    }
    assert_ne!(trail.verify().await.unwrap().head, whole.head);
}

const ISSUER: &str = "https://id.example.net";

fn provided<'a>(subject: &'a str, name: &'a str, role: Role) -> ProvidedSignIn<'a> {
    let (scope, payload, keep, from) = (Some("host:a"), false, 30 * 24 * 60 * MINUTE, ip("192.0.2.1"));
    ProvidedSignIn { issuer: ISSUER, subject, name, role, scope, payload, keep, from }
}

#[tokio::test]
async fn somebody_of_a_provider_is_who_it_means_and_not_what_it_calls_him() {
    clock!(clock, _later);
    let dir = tempfile::tempdir().unwrap();
    let load = async || {
        People::load(catalog(&dir).await, "token", clock).await.unwrap().with_provider(Some(ISSUER.into()))
    };
    let people = load().await;
    people.add(new("berta", Role::Viewer)).await.unwrap();
    let first = people.sign_in_provided(provided("u-1", "anna", Role::Analyst)).await.unwrap();
    assert_eq!(
        (first.who.name.as_str(), first.who.role, first.who.scope.as_deref()),
        ("anna", Role::Analyst, Some("host:a"))
    );
    assert!(first.old.is_none() && first.new.provider.as_deref() == Some(ISSUER));
    // Other groups, and another name by which nothing changes.
    let people = load().await;
    let wider = ProvidedSignIn { scope: None, payload: true, ..provided("u-1", "anna.new", Role::Admin) };
    let again = people.sign_in_provided(wider).await.unwrap();
    assert_eq!(
        (again.who.name.as_str(), again.who.role, again.who.scope, again.who.payload),
        ("anna", Role::Admin, None, true)
    );
    assert_eq!(again.old.map(|old| old.role), Some(Role::Analyst));
    // Somebody else of the same name, and a name that a user has here: nobody's account becomes another's.
    for (issuer, subject, name) in
        [(ISSUER, "u-2", "anna"), ("https://other.example", "u-1", "anna"), (ISSUER, "u-3", "berta")]
    {
        let attempt = ProvidedSignIn { issuer, ..provided(subject, name, Role::Admin) };
        let error = people.sign_in_provided(attempt).await.unwrap_err();
        assert!(matches!(error, PeopleError::NameOfAnother(_)), "{subject} {name}: {error:?}");
    }
    for name in ["", "local", "1anna", "anna müller", "a\nb"] {
        let error = people.sign_in_provided(provided("u-4", name, Role::Viewer)).await.unwrap_err();
        assert!(error.to_string().contains("oidc.name_claim"), "{name}: {error}");
    }
    assert_eq!(people.users().len(), 2);
    // He has no password, and nobody here says what he may.
    assert_eq!(refused(people.sign_in(attempt("anna", GOOD, None), Instant::now()).await), Refused::Wrong);
    let change = |role, disabled| Change { name: "anna".into(), role, scope: None, payload: None, disabled };
    assert!(matches!(people.invite("anna").await, Err(PeopleError::Provided(_))));
    assert!(matches!(
        people.change_user(change(Some(Role::Viewer), None)).await,
        Err(PeopleError::Provided(_))
    ));
    people.change_user(change(None, Some(true))).await.unwrap();
    let error = people.sign_in_provided(provided("u-1", "anna", Role::Admin)).await.unwrap_err();
    assert!(matches!(error, PeopleError::ShutOut), "{error:?}");
    assert_eq!(people.principal("anna"), None);
}

#[tokio::test]
async fn what_a_provider_said_ends_with_time_with_its_word_and_with_its_configuration() {
    clock!(clock, later);
    let dir = tempfile::tempdir().unwrap();
    let load = async |issuer: Option<&str>| {
        People::load(catalog(&dir).await, "token", clock)
            .await
            .unwrap()
            .with_provider(issuer.map(str::to_owned))
    };
    let people = load(Some(ISSUER)).await;
    let anna = people.sign_in_provided(provided("u-1", "anna", Role::Admin)).await.unwrap().who;
    assert!(people.invite_first().await.unwrap().is_none(), "somebody can administer");
    let token = NewAccess {
        name: "hers".into(),
        role: None,
        scope: None,
        payload: false,
        service: false,
        days: None,
        comment: String::new(),
    };
    let token = people.make_access(&anna, token).await.unwrap().token;
    let is_in = |people: &People| (people.principal("anna").is_some(), people.holder(&token).is_some());
    assert_eq!(is_in(&people), (true, true));
    // Another provider, or none, does not vouch for hers; back again, it does.
    assert_eq!(is_in(&load(None).await), (false, false));
    assert_eq!(is_in(&load(Some("https://other.example")).await), (false, false));
    let people = load(Some(ISSUER)).await;
    assert_eq!(is_in(&people), (true, true));
    later(30 * 24 * 60);
    assert_eq!(is_in(&people), (false, false), "she was not seen for a month");
    people.sign_in_provided(provided("u-1", "anna", Role::Viewer)).await.unwrap();
    assert_eq!(people.holder(&token).unwrap().role, Role::Viewer, "a token follows her");
    assert_eq!(people.vouches_no_more(ISSUER, "u-1").await.unwrap().as_deref(), Some("anna"));
    assert_eq!(people.vouches_no_more(ISSUER, "u-2").await.unwrap(), None);
    assert_eq!(is_in(&people), (false, false));
    assert_eq!(is_in(&load(Some(ISSUER)).await), (false, false));
    people.sign_in_provided(provided("u-1", "anna", Role::Viewer)).await.unwrap();
    assert_eq!(is_in(&people), (true, true));
}
