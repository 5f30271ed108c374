//! Several servers: login, context.

use crate::{
    args::{ConnectionArgs, ContextCommand, LoginArgs},
    client::Client,
    columns::{Column, Look},
    connection::{Address, Connection},
    contexts::Contexts,
    failure::{Failure, talk},
    render::{Format, Style},
};
use ratatui::termion::input::TermRead as _;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};

/// Tries a server and keeps it under a name.
pub(crate) async fn login(args: &ConnectionArgs, login: LoginArgs) -> Result<(), Failure> {
    let contexts = Contexts::needed()?;
    let address = Address::parse(&login.server)?;
    let name = match &login.name {
        Some(name) => name.clone(),
        None => address.host.replace(':', "-"),
    };
    let token = match &args.token_file {
        Some(_) => None,
        None => Some(token()?),
    };
    let server = ConnectionArgs { server: Some(login.server.clone()), ..args.clone() };
    let mut connection = Connection::find(&server)?;
    connection.token = token.or(connection.token);
    let (ca, token) = (connection.ca.clone(), connection.token.clone());
    let client = Client::new(connection)?;
    // The cheapest question that needs a token.
    let hosts = client.get("/api/v1/hosts").await?;
    contexts.keep(&name, &login.server, ca.as_deref(), token.as_deref())?;
    let hosts = hosts.as_array().map_or(0, Vec::len);
    talk(&format!("-- {name} is asked from now on; {hosts} hosts report to it --"));
    Ok(())
}

/// A token from a person, who does not see it, or from a pipe.
fn token() -> Result<String, Failure> {
    let token = if io::stdin().is_terminal() {
        let mut stderr = io::stderr();
        talk("access token (it is not shown):");
        io::stdin().lock().read_passwd(&mut stderr)?.unwrap_or_default()
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        line
    };
    let token = token.trim().to_owned();
    if token.is_empty() {
        let text = "no token: give --token-file, or write it to stdin";
        return Err(Failure::Usage(text.into()));
    }
    Ok(token)
}

pub(crate) fn context(command: Option<ContextCommand>, style: Style) -> Result<(), Failure> {
    let contexts = Contexts::needed()?;
    match command {
        None => show(&contexts, Format::Table, style),
        Some(ContextCommand::List { output }) => show(&contexts, output, style),
        Some(ContextCommand::Use { name }) => contexts.choose(&name),
        Some(ContextCommand::Rm { name }) => contexts.remove(&name),
    }
}

fn show(contexts: &Contexts, format: Format, style: Style) -> Result<(), Failure> {
    let current = contexts.current();
    let mut rows = Vec::new();
    for name in contexts.names() {
        let folder = contexts.existing(&name)?;
        let address = std::fs::read_to_string(folder.join("address")).unwrap_or_default();
        rows.push(json!({
            "name": name, "server": address.trim(), "token": folder.join("token").is_file(),
            "current": current.as_deref() == Some(name.as_str()),
        }));
    }
    let column = |name: &str| Column { name: name.into(), look: Look::Text };
    let columns = ["name", "server", "token", "current"].map(column).into();
    super::ask::list(&Value::Array(rows), columns, format, style)
}
