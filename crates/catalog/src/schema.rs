//! The tables, and how older ones become them.

use crate::{CatalogError, error::doing};
use sqlx::{Row, sqlite::SqlitePool};
use std::path::PathBuf;

/// One step from each version to the next. Steps are only ever added. Times are microseconds since 1970.
const STEPS: &[&str] = &[
    "
    CREATE TABLE hosts (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        serial TEXT NOT NULL,
        not_after INTEGER NOT NULL,
        agent_version TEXT NOT NULL,
        revoked_at INTEGER,
        last_contact INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX hosts_name ON hosts (name COLLATE NOCASE) WHERE revoked_at IS NULL;
    CREATE TABLE join_tokens (
        hash BLOB PRIMARY KEY NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
        comment TEXT NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
",
    "
    CREATE TABLE imports (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        format TEXT NOT NULL,
        head INTEGER,
        kinds TEXT NOT NULL,
        position INTEGER NOT NULL,
        totals TEXT NOT NULL,
        started INTEGER NOT NULL,
        touched INTEGER NOT NULL,
        finished INTEGER,
        partial INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX imports_touched ON imports (touched);
    CREATE TABLE import_checks (
        import TEXT NOT NULL REFERENCES imports (id),
        position INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (import, position)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;
",
    "
    CREATE TABLE senders (
        host TEXT NOT NULL,
        sender TEXT NOT NULL,
        source TEXT NOT NULL,
        messages INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        unparsed INTEGER NOT NULL,
        other INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        cut INTEGER NOT NULL,
        over INTEGER NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        PRIMARY KEY (host, sender, source)
    ) STRICT;
    PRAGMA user_version = 3;
",
    "
    CREATE TABLE import_landmarks (
        import TEXT NOT NULL REFERENCES imports (id),
        position INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (import, position)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 4;
",
    "
    CREATE TABLE holds (
        name TEXT PRIMARY KEY NOT NULL,
        in_table TEXT NOT NULL,
        filter TEXT NOT NULL,
        comment TEXT NOT NULL,
        created INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE erasures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        receipt TEXT NOT NULL,
        deleted INTEGER
    ) STRICT;
    CREATE TABLE moments (
        name TEXT PRIMARY KEY NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 5;
",
    "
    CREATE TABLE views (
        name TEXT PRIMARY KEY NOT NULL,
        in_table TEXT NOT NULL,
        filter TEXT NOT NULL,
        columns TEXT NOT NULL,
        since TEXT,
        shared INTEGER NOT NULL,
        changed INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 6;
",
    "
    CREATE TABLE sessions (
        hash BLOB PRIMARY KEY NOT NULL,
        name TEXT NOT NULL UNIQUE,
        token BLOB NOT NULL,
        created INTEGER NOT NULL,
        used INTEGER NOT NULL,
        address TEXT NOT NULL,
        browser TEXT NOT NULL
    ) STRICT;
    PRAGMA user_version = 7;
",
    "
    ALTER TABLE hosts ADD COLUMN in_group TEXT;
    ALTER TABLE hosts ADD COLUMN shut_out TEXT NOT NULL DEFAULT 'revoked';
    ALTER TABLE hosts ADD COLUMN waiting INTEGER;
    ALTER TABLE hosts ADD COLUMN waiting_for TEXT NOT NULL DEFAULT '';
    ALTER TABLE hosts ADD COLUMN former TEXT NOT NULL DEFAULT '';
    ALTER TABLE hosts ADD COLUMN authority TEXT NOT NULL DEFAULT '';
    DROP INDEX hosts_name;
    CREATE UNIQUE INDEX hosts_name ON hosts (name COLLATE NOCASE)
        WHERE revoked_at IS NULL AND waiting IS NULL;
    ALTER TABLE join_tokens ADD COLUMN in_group TEXT;
    ALTER TABLE join_tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';
    ALTER TABLE join_tokens ADD COLUMN approval INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE join_tokens ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE join_tokens ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE join_tokens ADD COLUMN revoked_at INTEGER;
    PRAGMA user_version = 8;
",
    "
    CREATE TABLE users (
        name TEXT PRIMARY KEY COLLATE NOCASE NOT NULL,
        role TEXT NOT NULL,
        scope TEXT,
        payload INTEGER NOT NULL,
        password TEXT,
        totp BLOB,
        totp_step INTEGER NOT NULL,
        invitation BLOB,
        invited_until INTEGER,
        created INTEGER NOT NULL,
        last_sign_in INTEGER,
        network TEXT,
        disabled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE access_tokens (
        name TEXT PRIMARY KEY NOT NULL,
        hash BLOB UNIQUE NOT NULL,
        user TEXT REFERENCES users (name) ON DELETE CASCADE,
        role TEXT NOT NULL,
        scope TEXT,
        payload INTEGER NOT NULL,
        comment TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        used INTEGER
    ) STRICT;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY NOT NULL,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        address TEXT,
        what TEXT NOT NULL,
        about TEXT,
        old TEXT,
        new TEXT,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_at ON audit (at);
    DROP TABLE sessions;
    CREATE TABLE sessions (
        hash BLOB PRIMARY KEY NOT NULL,
        name TEXT NOT NULL UNIQUE,
        who TEXT NOT NULL,
        created INTEGER NOT NULL,
        used INTEGER NOT NULL,
        address TEXT NOT NULL,
        browser TEXT NOT NULL
    ) STRICT;
    ALTER TABLE views ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    PRAGMA user_version = 9;
",
    "
    CREATE TABLE configurations (
        version INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        target TEXT NOT NULL,
        content TEXT NOT NULL,
        who TEXT NOT NULL,
        comment TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX configurations_target ON configurations (target, version);
    CREATE TRIGGER configurations_stay BEFORE UPDATE ON configurations
        BEGIN SELECT raise(ABORT, 'a version is never changed'); END;
    CREATE TRIGGER configurations_remain BEFORE DELETE ON configurations
        BEGIN SELECT raise(ABORT, 'a version is never deleted'); END;
    PRAGMA user_version = 10;
",
    "
    ALTER TABLE users ADD COLUMN issuer TEXT;
    ALTER TABLE users ADD COLUMN subject TEXT;
    ALTER TABLE users ADD COLUMN vouched_until INTEGER;
    CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE issuer IS NOT NULL;
    PRAGMA user_version = 11;
",
];

pub(crate) async fn migrate(pool: &SqlitePool) -> Result<(), CatalogError> {
    const WHAT: &str = "be brought up to date";
    // The write lock first: two servers started at once take turns.
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(doing(WHAT))?;
    let row = sqlx::query("PRAGMA user_version").fetch_one(&mut *tx).await.map_err(doing(WHAT))?;
    let found: i64 = row.try_get(0).map_err(doing(WHAT))?;
    let known = i64::try_from(STEPS.len()).expect("a handful of steps");
    let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len());
    let Some(done) = done else { return Err(CatalogError::Newer { path: PathBuf::new(), found, known }) };
    for step in &STEPS[done..] {
        sqlx::raw_sql(*step).execute(&mut *tx).await.map_err(doing(WHAT))?;
    }
    tx.commit().await.map_err(doing(WHAT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditPage, Catalog, NewAudit};
    use bartizan_model::Micros;
    use sqlx::sqlite::SqliteConnectOptions;
    use std::hash::{BuildHasher as _, BuildHasherDefault};

    /// What catalogs that are out there were made by: a step that was given away is never changed. Another one is added
    /// to the end here.
    const GIVEN: [u64; 11] = [
        0xb859_1c5e_fb87_e6c7,
        0x75a4_b284_9bad_6880,
        0x53bd_44b0_3b86_e428,
        0x1320_e2b1_2b63_ee95,
        0xaf4e_e8df_b73e_d60f,
        0x543f_2efd_0b57_899e,
        0x2dab_5575_8b89_015b,
        0x365d_4b75_a7ff_8073,
        0x77fd_137f_be78_b180,
        0xff80_7c5d_5e01_0ed2,
        0xdebb_a56c_f7f8_540e,
    ];

    /// FNV-1a, which is the same on every machine and for ever.
    struct Fnv(u64);

    impl Default for Fnv {
        fn default() -> Self {
            Self(0xcbf2_9ce4_8422_2325)
        }
    }

    impl std::hash::Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    fn sum(step: &str) -> u64 {
        BuildHasherDefault::<Fnv>::default().hash_one(step.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn steps_that_were_given_away_are_never_changed() {
        let sums: Vec<u64> = STEPS.iter().map(|step| sum(step)).collect();
        assert!(sums.starts_with(&GIVEN), "of now: {sums:#x?}");
        for (n, step) in STEPS.iter().enumerate() {
            assert!(step.contains(&format!("PRAGMA user_version = {};", n + 1)), "step {n} says which it is");
        }
    }

    #[tokio::test]
    async fn a_catalog_of_every_version_becomes_one_of_today_with_what_is_in_it() {
        for version in 1..=STEPS.len() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("catalog.db");
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let pool = SqlitePool::connect_with(options).await.unwrap();
            for step in &STEPS[..version] {
                sqlx::raw_sql(*step).execute(&pool).await.unwrap();
            }
            let old = "INSERT INTO hosts (id, name, first_seen, serial, not_after, agent_version) \
                       VALUES ('01010101010101010101010101010101', 'web-01', 5, 'aa', 9, '0.1.0')";
            sqlx::raw_sql(old).execute(&pool).await.unwrap();
            if version >= 6 {
                let view = "INSERT INTO views (name, in_table, filter, columns, shared, changed) \
                            VALUES ('mine', 'events', 'dport:22', '', 1, 7)";
                sqlx::raw_sql(view).execute(&pool).await.unwrap();
            }
            pool.close().await;

            // twice: what was brought up to date stays as it is
            for life in 0..2 {
                let catalog = Catalog::open(&path).await.unwrap();
                let hosts = catalog.hosts().await.unwrap();
                assert_eq!((hosts.len(), hosts[0].name.as_str()), (1, "web-01"), "of version {version}");
                assert!(hosts[0].is_in() && hosts[0].first_seen == Micros(5), "of version {version}");
                let entry = NewAudit { who: "ada".into(), what: "update".into(), ..NewAudit::default() };
                catalog.add_audit(&entry, Micros(life), |_, _, _| [1; 32]).await.unwrap();
                let page = AuditPage { limit: 10, ..AuditPage::default() };
                assert_eq!(catalog.audit(&page).await.unwrap().len() as i64, life + 1);
                catalog.close().await;
            }
        }
    }
}
