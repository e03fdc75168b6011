//! `fusebox check`: is a configuration good, and what does it say of each cluster?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{parse_config, read_bytes};
use crate::config::{Config, schema};
use crate::events::Word;

/// The order in which people think of a policy.
const ORDER: [&str; 7] = ["mode", "trip", "open", "half_open", "classify", "fallback", "reject"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration, as JSON; "-" reads it from standard input
    config: PathBuf,
    /// Print the configuration with everything filled in, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<String, String> {
    let bytes = read_bytes(&arguments.config)?;
    let config = parse_config(&arguments.config, &bytes)?;
    let filled_in = filled_in(&config);
    if arguments.json {
        // A document always serialises.
        return Ok(serde_json::to_string_pretty(&filled_in).unwrap_or_default() + "\n");
    }
    let is_empty = bytes.trim_ascii().is_empty();
    let verdict =
        if is_empty { "empty, so the built-in defaults hold" } else { "the configuration is good" };
    let path = arguments.config.display();
    Ok(format!("{path}: {verdict}\n\n{}", text(&config, &filled_in)))
}

/// As people write one, in the largest unit that is exact.
fn size(bytes: u64) -> Value {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let exact = units.into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    exact.map_or(bytes.into(), |(name, unit)| format!("{}{name}", bytes / unit).into())
}

/// The same configuration with nothing left out.
fn filled_in(config: &Config) -> Value {
    let circuits: Map<String, Value> = config
        .entries()
        .filter(|(.., is_builtin)| !is_builtin)
        .map(|(name, policy, _)| (name, schema::filled_in("policy", &policy.document)))
        .collect();
    let status = config.status.as_ref().map(|status| {
        let token = status
            .control_token
            .map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        json!({
            "path": status.path,
            "everywhere": status.everywhere,
            "control_token_sha256": token,
        })
    });
    let webhook = config.webhook.as_ref().map(|webhook| {
        json!({
            "cluster": webhook.cluster,
            "path": webhook.path,
            "authority": webhook.authority,
            "timeout": webhook.timeout.to_string(),
        })
    });
    json!({
        "namespace": config.namespace,
        "max_circuits": config.max_circuits,
        "defaults": schema::filled_in("policy", &config.defaults().document),
        "circuits": circuits,
        "cache": { "max_bytes": size(config.cache_bytes) },
        "status": status,
        "events": { "webhook": webhook },
    })
}

fn text(config: &Config, document: &Value) -> String {
    let mut text = String::new();
    for name in ["namespace", "max_circuits", "cache", "status", "events"] {
        text += &table(&lines(name, field(document, name)), &[], "");
    }
    let defaults = policy_lines(field(document, "defaults"));
    text += &format!("\nEvery cluster that no entry names\n{}", table(&defaults, &[], "  "));
    let (builtin, named): (Vec<_>, Vec<_>) =
        config.entries().partition(|(.., is_builtin)| *is_builtin);
    for (name, ..) in named {
        let mut policy = field(field(document, "circuits"), &name).clone();
        show_dropped_rules(&mut policy, field(document, "defaults"));
        let policy = policy_lines(&policy);
        text += &format!("\n{}\n{}", Word(&name), table(&policy, &defaults, "  "));
    }
    if config.entries().any(|(.., is_builtin)| !is_builtin) {
        text += "\n* differs from the above\n";
    }
    let names: Vec<String> = builtin.into_iter().map(|(name, ..)| name).collect();
    if !names.is_empty() {
        text += &format!("\nNot guarded unless named more exactly: {}\n", names.join(", "));
    }
    text
}

/// `trip` is replaced whole: the rules that an entry does not name again are off.
fn show_dropped_rules(policy: &mut Value, defaults: &Value) {
    let Some(Value::Object(trip)) = policy.get_mut("trip") else { return };
    for (rule, _) in field(defaults, "trip").as_object().into_iter().flatten() {
        trip.entry(rule.as_str()).or_insert("off".into());
    }
}

/// Null where there is none.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// The path of a value with what it shows.
type Line = (String, String);

fn policy_lines(policy: &Value) -> Vec<Line> {
    // A circuit that is off does nothing else.
    let names = if field(policy, "mode") == "off" { &ORDER[..1] } else { &ORDER[..] };
    names.iter().flat_map(|name| lines(name, field(policy, name))).collect()
}

fn lines(path: &str, value: &Value) -> Vec<Line> {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().flat_map(|(name, it)| lines(&format!("{path}.{name}"), it)).collect()
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let numbered = items.iter().enumerate();
            numbered.flat_map(|(n, it)| lines(&format!("{path}.{n}"), it)).collect()
        }
        Value::String(text) if !text.is_empty() && !text.contains(char::is_control) => {
            vec![(path.to_owned(), text.clone())]
        }
        other => vec![(path.to_owned(), other.to_string())],
    }
}

/// In two columns, those marked that are not among `others`.
fn table(lines: &[Line], others: &[Line], indent: &str) -> String {
    let width = lines.iter().map(|(path, _)| path.len()).max().unwrap_or_default().max(16);
    let mark = |line| if others.is_empty() || others.contains(line) { "" } else { " *" };
    lines
        .iter()
        .map(|line| format!("{indent}{:width$}  {}{}\n", line.0, line.1, mark(line)))
        .collect()
}
