//! The pages, and the fenced blocks in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
pub(crate) struct Block {
    pub page: PathBuf,
    pub line: usize,
    /// What stands after the fence: a language, and what kind of it.
    pub language: String,
    pub text: String,
}

impl Block {
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page.display(), self.line)
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Relative to the root.
pub(crate) fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> =
        entries.map(|entry| PathBuf::from("docs").join(entry.unwrap().file_name())).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages.extend(["README.md", "SECURITY.md"].map(PathBuf::from));
    pages
}

pub(crate) fn read(page: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

pub(crate) fn blocks() -> Vec<Block> {
    pages().into_iter().flat_map(|page| blocks_of(&read(&page), &page)).collect()
}

/// Blocks of lists are indented: what stands before the fence is taken off every line.
fn blocks_of(text: &str, page: &Path) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some((indent, language)) = line.split_once("```") else { continue };
        assert!(
            indent.trim().is_empty(),
            "{}:{}: a fence begins its line",
            page.display(),
            number + 1
        );
        let within: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line.strip_prefix(indent).unwrap_or(line))
            .take_while(|line| *line != "```")
            .collect();
        let (page, line, language) = (page.to_owned(), number + 1, language.to_owned());
        blocks.push(Block { page, line, language, text: within.join("\n") + "\n" });
    }
    blocks
}
