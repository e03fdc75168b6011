//! Which policy a cluster name gets.
//!
//! One entry applies: the exact name, else the matching pattern with the most literal characters.
//! Between two of the same number a user's wins over a built-in one, then the one with the longer
//! part before its `*`; patterns that are still equal and match the same name are the same.
//!
//! The built-in entries are off, and stand in the same contest: what flows into the service itself
//! and what Istio passes through unknown is guarded only by an entry that names it more exactly.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::ConfigError;
use super::node::Node;
use super::policy::CircuitPolicy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    exact: BTreeMap<String, Entry>,
    patterns: Vec<(Pattern, Entry)>,
    defaults: Rc<CircuitPolicy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    policy: Rc<CircuitPolicy>,
    is_builtin: bool,
}

/// What stands before and after the `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    prefix: String,
    suffix: String,
}

impl Names {
    pub(super) fn read(circuits: &Node<'_>, defaults: &Node<'_>) -> Result<Self, ConfigError> {
        let mut names = Self {
            exact: BTreeMap::new(),
            patterns: Vec::new(),
            defaults: Rc::new(CircuitPolicy::read(defaults)?),
        };
        // The user's come second: they replace built-in ones of the same name.
        for (circuits, is_builtin) in [(circuits.builtin(), true), (circuits.user(), false)] {
            for (name, at) in circuits.entries()? {
                let policy = Rc::new(CircuitPolicy::read(&at.over(defaults))?);
                let entry = Entry { policy, is_builtin };
                names.insert(name, entry).map_err(|problem| at.refused(problem))?;
            }
        }
        Ok(names)
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = &CircuitPolicy> {
        let entries = self.exact.values().chain(self.patterns.iter().map(|(_, entry)| entry));
        entries.map(|entry| &*entry.policy).chain([&*self.defaults])
    }

    pub(super) fn policy(&self, cluster: &str) -> &Rc<CircuitPolicy> {
        let entry = self.exact.get(cluster).or_else(|| {
            let matching = self.patterns.iter().filter(|(pattern, _)| pattern.matches(cluster));
            let winner = matching.min_by_key(|(pattern, entry)| pattern.rank(entry.is_builtin));
            winner.map(|(_, entry)| entry)
        });
        entry.map_or(&self.defaults, |entry| &entry.policy)
    }

    pub(super) fn defaults(&self) -> &CircuitPolicy {
        &self.defaults
    }

    /// The exact names a user gave, in order.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().filter(|(_, entry)| !entry.is_builtin).map(|(name, _)| name.as_str())
    }

    /// All of them by name or pattern, with whether they are built in; those with exact names first.
    #[cfg(feature = "cli")]
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, &CircuitPolicy, bool)> {
        let exact = self.exact.iter().map(|(name, entry)| (name.clone(), entry));
        let patterns = self.patterns.iter().map(|(pattern, entry)| {
            let Pattern { prefix, suffix } = pattern;
            (format!("{prefix}*{suffix}"), entry)
        });
        exact.chain(patterns).map(|(name, entry)| (name, &*entry.policy, entry.is_builtin))
    }

    fn insert(&mut self, name: &str, entry: Entry) -> Result<(), &'static str> {
        match name.split_once('*') {
            _ if name.is_empty() => return Err("empty name, expected that of an upstream cluster"),
            None => {
                self.exact.insert(name.to_owned(), entry);
            }
            Some((_, suffix)) if suffix.contains('*') => {
                return Err("more than one \"*\", expected at most one");
            }
            Some((prefix, suffix)) => {
                let pattern = Pattern { prefix: prefix.to_owned(), suffix: suffix.to_owned() };
                self.patterns.push((pattern, entry));
            }
        }
        Ok(())
    }
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.prefix.as_str());
        rest.is_some_and(|rest| rest.ends_with(&self.suffix))
    }

    /// Lower wins.
    fn rank(&self, is_builtin: bool) -> impl Ord + use<> {
        let (prefix, suffix) = (self.prefix.chars().count(), self.suffix.chars().count());
        (Reverse(prefix + suffix), is_builtin, Reverse(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, policy};
    use super::super::{Config, Mode};

    /// A document whose entries tell themselves apart by their status: 200 + position.
    fn circuits(names: &[&str]) -> String {
        let entries: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(position, name)| {
                format!(r#""{name}": {{"reject": {{"status": {}}}}}"#, 200 + position)
            })
            .collect();
        format!(r#"{{"circuits": {{{}}}}}"#, entries.join(", "))
    }

    /// Which of `names` applies to `cluster`.
    fn winner<'a>(names: &[&'a str], cluster: &str) -> Option<&'a str> {
        let status = policy(&circuits(names), cluster).reject.status;
        names.get(usize::from(status - 200)).copied()
    }

    #[test]
    fn an_exact_name_wins_over_any_pattern() {
        let names = ["*", "hf_*", "hf_api", "*hf_api"];
        assert_eq!(winner(&names, "hf_api"), Some("hf_api"));
        assert_eq!(winner(&["hf_apis", "h*"], "hf_api"), Some("h*"));
        assert_eq!(winner(&["other"], "hf_api"), None);
    }

    #[test]
    fn the_most_literal_characters_win() {
        let names = ["*", "outbound|*", "outbound|80||*", "*.svc.cluster.local"];
        assert_eq!(winner(&names, "outbound|80||a.svc"), Some("outbound|80||*"));
        assert_eq!(winner(&names, "outbound|443||a.svc"), Some("outbound|*"));
        assert_eq!(winner(&names, "outbound|80||a.svc.cluster.local"), Some("*.svc.cluster.local"));
        assert_eq!(winner(&names, "else"), Some("*"));
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(winner(&["é*", "*ab"], "éab"), Some("*ab"));
    }

    #[test]
    fn between_equals_the_longer_beginning_wins_in_any_order() {
        for names in [["ab*", "a*c", "*bc"], ["*bc", "a*c", "ab*"]] {
            assert_eq!(winner(&names, "abc"), Some("ab*"));
            assert_eq!(winner(&names, "axbc"), Some("a*c"));
        }
    }

    #[test]
    fn a_star_stands_for_nothing_too_but_beginning_and_end_do_not_overlap() {
        assert_eq!(winner(&["ab*"], "ab"), Some("ab*"));
        assert_eq!(winner(&["ab*ba"], "aba"), None);
        assert_eq!(winner(&["ab*ba"], "abba"), Some("ab*ba"));
    }

    #[test]
    fn inbound_and_unknown_traffic_is_guarded_only_where_named() {
        let mode = |names: &[&str], cluster| policy(&circuits(names), cluster).mode;
        for cluster in ["inbound|8080||", "PassthroughCluster", "BlackHoleCluster"] {
            assert_eq!(mode(&[], cluster), Mode::Off);
            assert_eq!(mode(&["*", "in*", "Pass*", "Black*"], cluster), Mode::Off);
            assert_eq!(mode(&[cluster], cluster), Mode::Enforce);
        }
        assert_eq!(mode(&["inbound|*"], "inbound|8080||"), Mode::Enforce);
        assert_eq!(mode(&["inbound|8080||*"], "inbound|8080||"), Mode::Enforce);
        assert_eq!(mode(&["inbound|8080||*"], "inbound|9090||"), Mode::Off);
        assert_eq!(mode(&["*bound|80"], "inbound|80"), Mode::Enforce);
        assert_eq!(mode(&[], "outbound|80||a"), Mode::Enforce);
    }

    #[test]
    fn only_exact_names_of_the_user_are_listed_in_order() {
        let document = circuits(&["b", "*", "a", "PassthroughCluster"]);
        let config = Config::parse(document.as_bytes()).unwrap();
        assert_eq!(config.named().collect::<Vec<_>>(), ["PassthroughCluster", "a", "b"]);
        assert_eq!(Config::parse(b"").unwrap().named().count(), 0);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        assert_eq!(
            error(&circuits(&["a*b*"])),
            "circuits.\"a*b*\": more than one \"*\", expected at most one"
        );
        assert_eq!(
            error(&circuits(&["**"])),
            "circuits.\"**\": more than one \"*\", expected at most one"
        );
        assert_eq!(
            error(&circuits(&[""])),
            "circuits.\"\": empty name, expected that of an upstream cluster"
        );
    }
}
