//! `make demo` and `make run`: Bartizan on this machine, with nothing to set up.
//!
//! Two processes:
//! - the **stage** ([`stage`]) runs as whoever typed the command, in the machine's own network: it starts the
//!   server, on loopback, and talks to the person;
//! - the **fleet** ([`inside`]) runs in namespaces of its own for network, mounts and processes (and, for anybody
//!   but root, for users): it makes the hosts, their agents and their traffic.
//!
//! They share no network. Agents reach the server through [`crate::relay`]: a socket on each host's loopback,
//! one in the file system, one on the machine's loopback. Nothing is bound to any other address, and no address,
//! route or rule of the machine is touched.
//!
//! Invariant: nothing outlives the stage, not even when it is killed. The fleet's processes live in a process
//! namespace whose first process dies with the stage, and its networks, rules and mounts exist only as long as
//! they do; the server dies by `--pdeathsig`. What is left is one folder, which the next start replaces.

mod inside;
mod local;
mod stage;

pub use inside::inside;
pub use local::run;
pub use stage::{Demo, demo};

/// Where a browser is signed in by opening it. It holds the token: for the person at the terminal, and no file. A
/// browser keeps what is behind the `#` to itself, and the page takes it out of the address.
fn say_link(server: &crate::process::Server) {
    let Ok(token) = std::fs::read_to_string(server.dir().join("admin.token")) else { return };
    if server.front().ip().is_loopback() {
        say("In a browser, which has to be told once that the certificate is meant:");
        say(&format!("  https://{}/sign-in#token={}\n", server.front(), token.trim()));
    }
}

/// One line for the person.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}
