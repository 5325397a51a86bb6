//! Dependencies: one place for versions, a reason for each, none unused.

use super::tree::{File, Finding, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.file("Cargo.toml") else { return Vec::new() };
    let members: Vec<&File> = tree
        .ending("/Cargo.toml")
        // The fuzz targets are a workspace of their own, for a nightly compiler.
        .filter(|file| !file.text.contains("\n[workspace]"))
        .collect();
    let mut findings = Vec::new();
    for (line, text) in section(root, |name| name == "workspace.dependencies") {
        let Some((name, rest)) = entry(text) else { continue };
        if !rest.contains('#') && !rest.contains("path = ") {
            findings.push(root.finding(line, format!("`{name}`: say in a comment what it is for")));
        }
        let is_used = |file: &&File| {
            section(file, |name| name.ends_with("dependencies")).iter().any(|(_, text)| {
                entry(text).is_some_and(|(used, _)| used.trim_end_matches(".workspace") == name)
            })
        };
        if !members.iter().any(is_used) {
            findings.push(root.finding(line, format!("`{name}` is used by no member: drop it")));
        }
    }
    for file in members {
        for (line, text) in section(file, |name| name.ends_with("dependencies")) {
            let Some((name, rest)) = entry(text) else { continue };
            if !name.ends_with(".workspace") && !rest.contains("workspace = true") {
                let text = format!("`{name}`: take the version from the root with `workspace = true`");
                findings.push(file.finding(line, text));
            }
        }
    }
    findings
}

/// Lines of the sections whose names `is_wanted`, with their numbers.
fn section(file: &File, is_wanted: impl Fn(&str) -> bool) -> Vec<(usize, &str)> {
    let mut wanted = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        if let Some(name) = line.strip_prefix('[') {
            wanted = is_wanted(name.split(']').next().unwrap_or_default());
        } else if wanted {
            lines.push((number, line));
        }
    }
    lines
}

/// Name and value of a line.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once('=')?;
    let name = name.trim();
    (!name.starts_with('#') && !line.starts_with(' ')).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NONE, lines};

    fn found(root: &str, member: &str) -> Vec<usize> {
        lines(&check(&Tree::of(&[("Cargo.toml", root), ("a/Cargo.toml", member)])))
    }

    #[test]
    fn each_dependency_has_a_reason_and_a_user() {
        let member = "[dependencies]\nb.workspace = true\n";
        assert_eq!(found("[workspace.dependencies]\nb = \"1\" # for b\n", member), NONE);
        assert_eq!(found("[workspace.dependencies]\nb = \"1\"\n", member), [2]);
        assert_eq!(found("[workspace.dependencies]\nb = \"1\" # b\nc = \"1\" # c\n", member), [3]);
    }

    #[test]
    fn versions_stand_in_the_root() {
        let root = "[workspace.dependencies]\nb = \"1\" # for b\n";
        assert_eq!(
            found(root, "[dev-dependencies]\nb = { workspace = true, features = [] }\nc = \"1\"\n"),
            [3]
        );
    }
}
