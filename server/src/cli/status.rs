//! `osbackend status`: how a server is, for people and for health checks.

use serde_json::{Value, json};

use super::connection::{As, Connection, ConnectionError};
use super::http::CallError;
use super::terminal::{self, Paint, harmless};

/// Whose status.
#[derive(clap::Args)]
#[command(after_help = "With an admin's token or an API key the rooms are listed too.\n\n\
    Exit status: 0 the server takes connections; 1 it can't be reached, is draining or refused the token; \
    2 the command line is wrong. As a health check: `HEALTHCHECK CMD [\"osbackend\", \"status\"]`.")]
pub(super) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The server is not well, or can't be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum StatusError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the server is draining: it is going away and takes no new connections")]
    Draining,
}

impl StatusError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Connection(error) if error.is_usage())
    }
}

pub(super) async fn run(args: Args) -> Result<(), StatusError> {
    let api = args.connection.api(As::Admin).await?;
    let ready = match api.get("readyz").await {
        Ok(_) => true,
        Err(CallError::Refused(refusal)) if refusal.status.as_u16() == 503 => false,
        Err(error) => return Err(error.into()),
    };
    let mut status = api.get("api/ws/status").await?;
    if !ready {
        status["status"] = json!("draining");
    }
    if args.json {
        terminal::line(&status.to_string());
    } else {
        terminal::line(&table(&status, Paint::of_stdout()));
    }
    if ready { Ok(()) } else { Err(StatusError::Draining) }
}

fn table(status: &Value, paint: Paint) -> String {
    let text = |name: &str| match &status[name] {
        Value::String(text) => harmless(text),
        other => other.to_string(),
    };
    let state = text("status");
    let state = if state == "ok" { paint.green(&state) } else { paint.yellow(&state) };
    let uptime = uptime(status["uptimeSeconds"].as_u64().unwrap_or(0));
    let clients = format!("{} ({} authenticated)", text("totalClients"), text("authenticatedClients"));
    let rows = [
        ("status", state),
        ("version", text("version")),
        ("uptime", uptime),
        ("node", text("node")),
        ("engine", text("engine")),
        ("clients", clients),
        ("events", format!("{} published since the start", text("publishedEvents"))),
    ];
    let mut out: Vec<String> = rows.iter().map(|(name, value)| format!("{} {value}", paint.dim(&format!("{name:<9}")))).collect();
    if let Some(rooms) = status["rooms"].as_object() {
        let width = rooms.keys().map(String::len).chain([4]).max().unwrap_or(4);
        out.push(String::new());
        out.push(paint.bold(&format!("{:<width$}  clients", "room")));
        out.extend(rooms.iter().map(|(room, totals)| format!("{room:<width$}  {:>7}", totals["clientCount"].to_string())));
        if rooms.is_empty() {
            out.push("none in memory: nobody is in a room, and none was written to lately".to_owned());
        }
    }
    out.join("\n")
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        assert_eq!([uptime(5), uptime(65), uptime(3_700), uptime(90_000)], ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
