use super::*;
use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Agent {
    name: String,
    server: Option<String>,
    groups: Vec<u16>,
    listen: SocketAddr,
    quiet: bool,
    mode: Mode,
    spool: Spool,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Spool {
    bytes: u64,
    folder: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    rate: Option<f64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Careful,
}

impl Default for Spool {
    fn default() -> Self {
        Self { bytes: 1, folder: "/spool".into() }
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            name: "here".into(),
            server: None,
            groups: vec![5],
            listen: SocketAddr::from(([127, 0, 0, 1], 1)),
            quiet: false,
            mode: Mode::Fast,
            spool: Spool::default(),
            rules: Vec::new(),
        }
    }
}

fn texts(texts: &[(&str, &str)]) -> Vec<Source> {
    texts.iter().map(|(name, text)| Source { name: (*name).into(), text: (*text).into() }).collect()
}

fn fault(sources: &[(&str, &str)], settings: &[Setting]) -> String {
    load_from::<Agent>(&texts(sources), settings).unwrap_err().to_string()
}

fn variable(name: &str, value: &str) -> Setting {
    Setting::variable("BARTIZAN_", name, value).unwrap()
}

#[test]
fn nothing_gives_the_defaults() {
    assert_eq!(load_from::<Agent>(&[], &[]).unwrap(), Agent::default());
}

#[test]
fn later_wins_and_tables_merge() {
    let sources = texts(&[
        ("a.toml", "name = 'one'\ngroups = [1, 2]\nmode = 'careful'\n[spool]\nbytes = 0x10\nfolder = '/a'"),
        ("b/10.toml", "groups = [3]\n[spool]\nbytes = 7\n[[rules]]\nname = 'x'\nrate = 1.5"),
    ]);
    let settings = [
        variable("BARTIZAN_SPOOL__FOLDER", "/env"),
        variable("BARTIZAN_QUIET", "true"),
        variable("BARTIZAN_NAME", "5"),
        Setting::flag("name", "flagged"),
        Setting::flag("listen", "[::1]:8443"),
    ];
    let agent: Agent = load_from(&sources, &settings).unwrap();
    assert_eq!(
        agent,
        Agent {
            name: "flagged".into(),
            groups: vec![3],
            mode: Mode::Careful,
            quiet: true,
            listen: "[::1]:8443".parse().unwrap(),
            spool: Spool { bytes: 7, folder: "/env".into() },
            rules: vec![Rule { name: "x".into(), rate: Some(1.5) }],
            ..Agent::default()
        }
    );
}

#[test]
fn lists_from_variables() {
    for text in ["5,6", "[5, 6]", " 5 , 6 ,"] {
        let agent: Agent = load_from(&[], &[variable("BARTIZAN_GROUPS", text)]).unwrap();
        assert_eq!(agent.groups, [5, 6], "{text}");
    }
    assert_eq!(
        fault(&[], &[variable("BARTIZAN_GROUPS", "5,x")]),
        "BARTIZAN_GROUPS: groups: string \"x\" where u16 is expected"
    );
}

#[test]
fn unknown_key_names_the_place_and_the_nearest() {
    let text = "# a comment\n\nname = 'a'\n\n\n\ngruops = [1]\n";
    assert_eq!(
        fault(&[("/etc/bartizan/agent.toml", text)], &[]),
        "/etc/bartizan/agent.toml:7: unknown key \"gruops\" (did you mean \"groups\"?)"
    );
    assert_eq!(fault(&[("f", "zzzzzz = 1")], &[]), "f:1: unknown key \"zzzzzz\"");
}

#[test]
fn unknown_key_of_a_drop_in_is_placed_there() {
    let sources =
        [("agent.toml", "name = 'a'\n[spool]\nbytes = 1"), ("agent.d/1.toml", "\n[spool]\nbyts = 2")];
    assert_eq!(
        fault(&sources, &[]),
        "agent.d/1.toml:3: unknown key \"spool.byts\" (did you mean \"spool.bytes\"?)"
    );
    assert_eq!(
        fault(&[("f", "[spol]\nbytes=1")], &[]),
        "f:1: unknown key \"spol\" (did you mean \"spool\"?)"
    );
    assert_eq!(
        fault(&[("f", "[[rules]]\nname = 'a'\n[[rules]]\nname = 'b'\nrat = 1")], &[]),
        "f:5: unknown key \"rules.rat\" (did you mean \"rules.rate\"?)"
    );
}

#[test]
fn wrong_values_name_place_and_key() {
    let cases = [
        ("name = 5", "f:1: name: integer `5` where a string is expected"),
        ("\ngroups = [\n1,\n70000]", "f:4: groups: integer `70000` where u16 is expected"),
        ("[spool]\nbytes = 'many'", "f:2: spool.bytes: string \"many\" where u64 is expected"),
        (
            "mode = 'carefull'",
            "f:1: mode: unknown value \"carefull\" (did you mean \"careful\"?); one of: fast, careful",
        ),
        ("listen = 'nowhere'", "f:1: listen: invalid socket address syntax"),
        ("spool = 1", "f:1: spool: integer `1` where struct Spool is expected"),
        ("[[rules]]\nrate = 1.0", "f:1: missing key \"rules.name\""),
        ("name = 99999999999999999999", "f:1: name: 99999999999999999999 is too large a number"),
    ];
    for (text, message) in cases {
        assert_eq!(fault(&[("f", text)], &[]), message, "{text}");
    }
    assert!(fault(&[("f", "a = 1\nb = = 2")], &[]).starts_with("f:2: "));
    assert!(fault(&[("f", "name = 'a'\nname = 'b'")], &[]).starts_with("f:2: "));
}

#[test]
fn variables_and_flags_are_named_in_errors() {
    assert_eq!(
        fault(&[], &[variable("BARTIZAN_SPOOL__BYTE", "1")]),
        "BARTIZAN_SPOOL__BYTE: unknown key \"spool.byte\" (did you mean \"spool.bytes\"?)"
    );
    assert_eq!(
        fault(&[("f", "quiet = false")], &[Setting::flag("quiet", "perhaps")]),
        "--quiet: quiet: string \"perhaps\" where a boolean is expected"
    );
}

#[test]
fn variables_of_the_command_line_are_no_mistake() {
    let settings =
        [variable("BARTIZAN_CA", "x"), variable("BARTIZAN_DIR", "y"), variable("BARTIZAN_SERVER", "z")];
    let agent: Agent = load_from(&[], &settings).unwrap();
    assert_eq!(agent.server.as_deref(), Some("z"), "a setting where the key exists");
    assert_eq!(fault(&[("f", "ca = 'x'")], &[]), "f:1: unknown key \"ca\"");
}

#[test]
fn files_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("agent.d")).unwrap();
    std::fs::write(at("agent.toml"), "name = 'file'").unwrap();
    std::fs::write(at("agent.d/20-b.toml"), "name = 'second'").unwrap();
    std::fs::write(at("agent.d/10-a.toml"), "name = 'first'\nquiet = true").unwrap();
    std::fs::write(at("agent.d/30-c.toml.bak"), "broken").unwrap();
    std::fs::write(at("agent.d/.hidden.toml"), "broken").unwrap();
    let agent: Agent = load(Some(&at("agent.toml")), Some(&at("agent.d")), "BARTIZAN_NO_SUCH_", &[]).unwrap();
    assert_eq!((agent.name.as_str(), agent.quiet), ("second", true));

    assert!(load::<Agent>(Some(&at("agent.toml")), Some(&at("none.d")), "BARTIZAN_NO_SUCH_", &[]).is_ok());
    let missing = load::<Agent>(Some(&at("none.toml")), None, "BARTIZAN_NO_SUCH_", &[]).unwrap_err();
    assert!(matches!(missing, ConfigError::Read { .. }));
    std::fs::write(at("latin.toml"), b"name = 'a'\n# \xe4\n").unwrap();
    let latin = load::<Agent>(Some(&at("latin.toml")), None, "BARTIZAN_NO_SUCH_", &[]).unwrap_err();
    assert!(latin.to_string().ends_with("latin.toml:2: not UTF-8 text"), "{latin}");
}

#[test]
fn the_place_of_a_key_is_where_it_was_written_last() {
    let sources =
        texts(&[("a.toml", "name = 'x'\n[spool]\nbytes = 1"), ("a.d/1.toml", "\n\n[spool]\nbytes = 2")]);
    let place = |key| place_of(&sources, &[variable("BARTIZAN_QUIET", "true")], key);
    assert_eq!(place("spool.bytes").as_deref(), Some("a.d/1.toml:4"));
    assert_eq!(place("name").as_deref(), Some("a.toml:1"));
    assert_eq!(place("quiet").as_deref(), Some("BARTIZAN_QUIET"));
    assert_eq!((place("spool.folder"), place("name.of")), (None, None));
}

#[test]
fn files_that_are_open_are_read_like_those_with_a_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.toml"), "name = 'file'\nquite = true").unwrap();
    let open = || std::fs::File::open(folder.path().join("agent.toml")).unwrap();
    let read = |name: &str| load_from::<Agent>(&open_sources([(name.to_owned(), open())]).unwrap(), &[]);
    let error = read("the/name.toml").unwrap_err();
    assert_eq!(error.to_string(), "the/name.toml:2: unknown key \"quite\" (did you mean \"quiet\"?)");
    std::fs::write(folder.path().join("agent.toml"), "name = 'file'").unwrap();
    assert_eq!(read("a").unwrap().name, "file");
}

#[test]
fn keys_are_those_of_values_wherever_they_are_written() {
    let sources =
        texts(&[("a.toml", "name = 'x'\n[spool]\nbytes = 1"), ("b.toml", "groups = [1, 2]\n[empty]")]);
    let keys = keys_of(&sources, &[variable("BARTIZAN_SPOOL__FOLDER", "/x")]).unwrap();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["groups", "name", "spool.bytes", "spool.folder"]);
    assert!(keys_of(&texts(&[("a.toml", "name")]), &[]).is_err());
}
