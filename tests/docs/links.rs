//! Links lead somewhere.

use std::path::Path;

use crate::pages::{pages, read, root};

#[test]
fn each_link_to_a_file_or_a_heading_finds_it() {
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(root().join(&target).exists(), "{}: {link}", page.display());
            assert!(
                heading.is_empty() || has_heading(&target, heading),
                "{}: {link}",
                page.display()
            );
        }
    }
}

/// As it is turned into an anchor: in small letters, without punctuation, with hyphens for spaces.
fn has_heading(page: &Path, anchor: &str) -> bool {
    let anchor_of = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    read(page).lines().filter(|line| line.starts_with('#')).any(|line| anchor_of(line) == anchor)
}
