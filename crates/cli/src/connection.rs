//! Which server, whom to trust, and with which token.
//!
//! What is said first counts: `--server`, `--context`, `--dir`, the context that was chosen, this machine.
//!
//! On the server's own machine its directory holds all three: `address`, `ca.pem` and `admin.token`. The
//! token of that directory, and that of a context, is only ever sent to the address beside it.

use crate::{args::ConnectionArgs, contexts::Contexts, failure::Failure};
use std::{
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Where the server keeps everything when nobody says otherwise.
const DEFAULT_DIR: &str = "/var/lib/bartizan";

/// A server and how to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) address: Address,
    /// PEM of the fleet's authority; only `https` needs it.
    pub(crate) ca: Option<String>,
    pub(crate) token: Option<String>,
}

/// The server's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Connection {
    /// What flags, variables and the server's directory say together.
    pub(crate) fn find(args: &ConnectionArgs) -> Result<Self, Failure> {
        if let Some(folder) = kept(args)? {
            return Self::of(&folder, "token", args);
        }
        let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIR));
        Self::of(&dir, "admin.token", args)
    }

    /// What flags and a folder say together, whose token is in the file of this name.
    fn of(dir: &Path, token_name: &str, args: &ConnectionArgs) -> Result<Self, Failure> {
        let address = match &args.server {
            Some(url) => Address::parse(url)?,
            None => Address::parse(&local(dir, "address")?)?.reachable(),
        };
        if !address.tls && !address.is_loopback() {
            return Err(Failure::Usage(format!(
                "{}: without TLS only this machine can be asked; write https://",
                address.host
            )));
        }
        let ca = match &args.ca {
            Some(path) => Some(read(path)?),
            None if address.tls => Some(local(dir, "ca.pem")?),
            None => None,
        };
        let token = match (&args.token_file, &args.server) {
            (Some(path), _) => Some(read(path)?),
            // a context may have none
            (None, None) if token_name == "token" && !dir.join(token_name).exists() => None,
            (None, None) => Some(local(dir, token_name)?),
            (None, Some(_)) => None,
        };
        Ok(Self { address, ca, token: token.map(|t| t.trim().to_owned()) })
    }
}

impl Address {
    /// `https://HOST:PORT`, or the same without the scheme.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::Usage(format!("{:?} is not a server's address; write https://HOST:PORT", text.trim()))
        };
        let rest = text.trim();
        let (tls, rest) = match rest.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(wrong()),
            None => (true, rest),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => rest.rsplit_once(':').unwrap_or((rest, "")),
        };
        let port = if port.is_empty() { 8443 } else { port.parse().map_err(|_| wrong())? };
        let bad = |c: char| c.is_whitespace() || c.is_control() || "/?#@[]".contains(c);
        if host.is_empty() || host.contains(bad) || (host.contains(':') && host.parse::<IpAddr>().is_err()) {
            return Err(wrong());
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }

    /// A server that listens on every address is asked on loopback.
    fn reachable(mut self) -> Self {
        match self.host.parse() {
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() => self.host = "127.0.0.1".into(),
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => self.host = "::1".into(),
            _ => {}
        }
        self
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// `HOST:PORT`, with brackets around IPv6.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The folder of the context that is meant, if one is.
fn kept(args: &ConnectionArgs) -> Result<Option<PathBuf>, Failure> {
    if args.server.is_some() {
        return Ok(None);
    }
    if let Some(name) = &args.context {
        return Contexts::needed()?.existing(name).map(Some);
    }
    if args.dir.is_some() {
        return Ok(None);
    }
    let Some(contexts) = Contexts::find() else { return Ok(None) };
    contexts.current().map(|name| contexts.existing(&name)).transpose()
}

/// A file of the server's directory.
fn local(dir: &Path, name: &str) -> Result<String, Failure> {
    let path = dir.join(name);
    std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Failure::NotPermitted(format!(
            "no permission to read {}; become root, or give --server, --ca and --token-file",
            path.display()
        )),
        ErrorKind::NotFound => Failure::Unreachable(format!(
            "no server has run here ({} does not exist); give --dir, or --server, --ca and --token-file",
            path.display()
        )),
        _ => Failure::Error(anyhow::Error::new(error).context(format!("cannot read {}", path.display()))),
    })
}

/// A file that the person named.
fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        match error.kind() {
            ErrorKind::PermissionDenied => Failure::NotPermitted(text),
            _ => Failure::Usage(text),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<(bool, String)> {
        Address::parse(text).ok().map(|a| (a.tls, a.authority()))
    }

    #[test]
    fn addresses() {
        for (text, tls, authority) in [
            ("https://watch.example:9000/", true, "watch.example:9000"),
            ("127.0.0.1:8443\n", true, "127.0.0.1:8443"),
            ("https://[::1]:1", true, "[::1]:1"),
            ("https://[::1]", true, "[::1]:8443"),
            ("watch", true, "watch:8443"),
            ("http://127.0.0.1:80", false, "127.0.0.1:80"),
        ] {
            assert_eq!(address(text), Some((tls, authority.into())), "{text}");
        }
        for text in
            ["", "ftp://x", "https://", "https://x:port", "https://u@x", "https://x:1/path", "::1", "[x y]:1"]
        {
            assert_eq!(address(text), None, "{text}");
        }
        assert_eq!(Address::parse("0.0.0.0:8443").unwrap().reachable().authority(), "127.0.0.1:8443");
        assert_eq!(Address::parse("[::]:8443").unwrap().reachable().authority(), "[::1]:8443");
    }

    #[test]
    fn the_directorys_token_goes_to_its_own_server_only() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("address", "127.0.0.1:5\n"), ("ca.pem", "pem"), ("admin.token", "secret\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut args = ConnectionArgs {
            server: None,
            ca: None,
            token_file: None,
            context: None,
            dir: Some(dir.path().into()),
        };
        let own = Connection::find(&args).unwrap();
        assert_eq!(
            (own.address.port, own.token.as_deref(), own.ca.as_deref()),
            (5, Some("secret"), Some("pem"))
        );
        args.server = Some("https://elsewhere.example".into());
        assert_eq!(Connection::find(&args).unwrap().token, None);
        args.server = Some("http://192.0.2.1:80".into());
        assert!(
            matches!(Connection::find(&args), Err(Failure::Usage(_))),
            "a token must not travel in the clear"
        );
        args = ConnectionArgs { dir: Some(dir.path().join("none")), server: None, ..args };
        assert!(matches!(Connection::find(&args), Err(Failure::Unreachable(_))));
    }
}
