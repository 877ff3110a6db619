//! `klamm group`: lists, describes and deletes groups, and sets what they have committed.

mod datetime;
mod describe;
mod ends;
mod reset;

use serde_json::{Value, json};

use super::connect::Connect;
use super::output::print;
use super::{CommandError, Format};
use crate::kafka::client::{Client, GroupListing};

/// Arguments of `klamm group`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List all groups, with type and state.
    List,
    /// Show members, committed offsets and lag of groups.
    Describe {
        /// Their names; all groups, if none is given.
        names: Vec<String>,
    },
    /// Set the committed offsets of a group that nobody is in.
    ResetOffsets(reset::Args),
    /// Delete groups that nobody is in, with all that they have committed.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Runs the command.
pub(crate) async fn run(args: Args, format: Format) -> Result<(), CommandError> {
    let mut client = args.connect.client().await?;
    match args.verb {
        Verb::List => list(&mut client, format).await,
        Verb::Describe { names } => describe::run(&mut client, names, format).await,
        Verb::ResetOffsets(args) => reset::run(&mut client, &args, format).await,
        Verb::Delete { names } => delete(&mut client, names, format).await,
    }
}

async fn list(client: &mut Client, format: Format) -> Result<(), CommandError> {
    let groups = client.groups().await?;
    match format {
        Format::Text if groups.is_empty() => Ok(()),
        Format::Text => {
            let mut rows = vec![["GROUP", "TYPE", "PROTOCOL", "STATE"].map(str::to_owned)];
            rows.extend(groups.into_iter().map(|group| {
                [
                    group.name,
                    group.kind,
                    or_dash(&group.protocol_type),
                    group.state,
                ]
            }));
            print(&table(&rows))
        }
        Format::Json => print(&format!(
            "{}\n",
            groups.iter().map(listing_as_json).collect::<Value>()
        )),
    }
}

fn listing_as_json(group: &GroupListing) -> Value {
    json!({
        "group": group.name,
        "type": group.kind,
        "protocol_type": group.protocol_type,
        "state": group.state,
    })
}

async fn delete(
    client: &mut Client,
    names: Vec<String>,
    format: Format,
) -> Result<(), CommandError> {
    let mut deleted = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match client.delete_group(&name).await {
            Ok(()) => deleted.push(name),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match format {
        Format::Text => {
            let lines = deleted.iter().map(|name| format!("deleted {name}\n"));
            print(&lines.collect::<String>())?;
        }
        Format::Json => print(&format!("{}\n", json!({"deleted": deleted})))?,
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(CommandError(failures.join("\nklamm: "))),
    }
}

/// Lines of cells, each column as wide as its widest cell.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is in a cell that has nothing to say.
fn or_dash(text: &str) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text.to_owned(),
    }
}
