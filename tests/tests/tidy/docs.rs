//! Documents: links that lead somewhere, targets of `make` that exist, a changelog that says what is new.

use super::tree::{File, Finding, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let targets = targets(tree);
    let mut findings = Vec::new();
    for file in tree.ending(".md") {
        findings.extend(links(tree, file));
        findings.extend(makes(file, &targets));
    }
    findings.extend(changelog(tree));
    findings
}

/// Relative links.
fn links(tree: &Tree, file: &File) -> Vec<Finding> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for part in line.split("](").skip(1) {
            let link = part.split([')', '#', ' ']).next().unwrap_or_default();
            if link.is_empty() || link.contains(':') {
                continue;
            }
            let path = resolve(folder, link);
            let is_there =
                tree.files.iter().any(|file| file.path == path || file.path.starts_with(&format!("{path}/")));
            // Pictures are no text and stand in no tree.
            if !is_there && !::tests::root().join(&path).is_file() {
                findings.push(file.finding(number, format!("`{link}` leads nowhere")));
            }
        }
    }
    findings
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn targets(tree: &Tree) -> Vec<String> {
    let text = tree.file("Makefile").map_or("", |file| file.text.as_str());
    let head = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let is_target =
            !rest.starts_with('=') && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
        is_target.then(|| name.to_owned())
    };
    text.lines().filter_map(head).collect()
}

/// `make NAME` in code spans and blocks.
fn makes(file: &File, targets: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_block = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        in_block ^= line.trim_start().starts_with("```");
        let spans: Vec<&str> =
            if in_block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for span in spans {
            let Some(rest) = span.trim_start().strip_prefix("make ") else { continue };
            let name = rest.split_whitespace().next().unwrap_or_default();
            let is_name = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
            if is_name && !targets.iter().any(|target| target == name) {
                findings.push(file.finding(number, format!("`make {name}` is no target of the Makefile")));
            }
        }
    }
    findings
}

fn changelog(tree: &Tree) -> Option<Finding> {
    let missing = File::new("CHANGELOG.md", "");
    let file = tree.file("CHANGELOG.md").unwrap_or(&missing);
    let news = file.text.split("## [Unreleased]").nth(1).unwrap_or_default();
    let entries =
        news.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("- "));
    (entries.count() == 0).then(|| file.finding(1, "has no entry under `## [Unreleased]`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::lines;

    const NEWS: &str = "## [Unreleased]\n- a\n";

    fn found(path: &str, text: &str) -> Vec<usize> {
        let mut files =
            vec![("CHANGELOG.md", NEWS), ("Makefile", "demo: setup ## x\nA := b\n"), ("docs/b.md", "")];
        files.retain(|(other, _)| *other != path);
        files.push((path, text));
        lines(&check(&Tree::of(&files)))
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(found("docs/a.md", "[b](b.md) [b](../docs/b.md#x)\n[c](c.md) [w](https://a.b/c)"), [2]);
        assert_eq!(found("README.md", "[d](docs) [e](docs/e.md)"), [1]);
    }

    #[test]
    fn targets_exist() {
        assert_eq!(
            found("README.md", "`make demo` `make sense`\n```\nmake demo A=b\nmake tea\n```\nmake do"),
            [1, 4]
        );
    }

    #[test]
    fn the_changelog_has_news() {
        assert_eq!(found("CHANGELOG.md", "## [Unreleased]\n\n## [0.1.0]\n- a\n"), [1]);
    }
}
