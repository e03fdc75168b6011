//! The table, and how two of them differ.

use std::collections::BTreeMap;

use crate::measure::Cost;

const PREFACE: &str = "\
# What each kind of request costs

Measured through an emulated Envoy, in the steady state: whatever happens once happened before. `cargo test` compares
the table with the code; `cargo test --bench cost -- --write` writes it anew.

- **hostcalls**: their number, and in the last column their names without `proxy_`
- **bytes in**, **bytes out**: copied by them into and out of the filter's memory, pointers and lengths included
- **fuel**: WebAssembly instructions, one each; copying within the memory is one, however long
- **allocations**: blocks the filter allocates, with those for what a hostcall hands over; one that grows counts again

Hostcalls and what they copy must be the same everywhere. Compilers differ in the rest, which may be off by a tenth.

";

/// A column, and by how many percent it may be off.
const COLUMNS: [(&str, u64); 8] = [
    ("", 0),
    ("hostcalls", 0),
    ("bytes in", 0),
    ("bytes out", 0),
    ("fuel", 10),
    ("allocations", 10),
    ("allocated bytes", 10),
    ("which hostcalls", 0),
];

pub fn render(costs: &[Cost]) -> String {
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let rule = std::iter::once("---").chain(["--:"; 6]).chain(["---"]).map(str::to_owned);
    let rows = costs.iter().map(|cost| line(cells(cost)));
    [line(titles), line(rule)]
        .into_iter()
        .chain(rows)
        .fold(PREFACE.to_owned(), |all, row| all + &row)
}

fn cells(cost: &Cost) -> [String; 8] {
    let named = |(name, count): &(&str, u64)| {
        let name = name.trim_start_matches("proxy_");
        if *count == 1 { name.to_owned() } else { format!("{count} {name}") }
    };
    let names: Vec<String> = cost.hostcalls.iter().map(named).collect();
    let total: u64 = cost.hostcalls.iter().map(|(_, count)| count).sum();
    let [total, into, out, fuel, allocations, allocated] = [
        total,
        cost.copied.into_guests,
        cost.copied.out_of_guests,
        cost.fuel,
        cost.allocations,
        cost.allocated_bytes,
    ]
    .map(|number| number.to_string());
    [cost.name.to_owned(), total, into, out, fuel, allocations, allocated, names.join(", ")]
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().fold("|".to_owned(), |line, cell| format!("{line} {cell} |")) + "\n"
}

/// What has changed, a sentence each.
pub fn changes(committed: &str, measured: &str) -> Vec<String> {
    let (old, new) = (rows(committed), rows(measured));
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut changes: Vec<String> = gone.map(|name| format!("{name}: is not measured")).collect();
    for (name, cells) in &new {
        match old.get(name) {
            Some(old) => changes.extend(COLUMNS.iter().zip(old.iter().zip(cells)).filter_map(
                |((title, percent), (old, new))| {
                    Some(format!("{name}: {title} {}", change(old, new, *percent)?))
                },
            )),
            None => changes.push(format!("{name}: is new")),
        }
    }
    changes
}

/// `None` if they are as good as equal.
fn change(old: &str, new: &str, percent: u64) -> Option<String> {
    if old == new {
        return None;
    }
    let (Ok(was), Ok(is)) = (old.parse::<u64>(), new.parse::<u64>()) else {
        return Some(format!("were {old}; are {new}"));
    };
    let share = 100.0 * (is as f64 - was as f64) / was as f64;
    (was.abs_diff(is) * 100 > was * percent).then(|| format!("{was} -> {is} ({share:+.1} %)"))
}

/// The cells of each row by the first of them, which is the name.
fn rows(table: &str) -> BTreeMap<&str, Vec<&str>> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.map(|row| row.split(" | ").map(str::trim).collect::<Vec<_>>());
    rows.skip(2).filter_map(|row| Some((*row.first()?, row))).collect()
}
