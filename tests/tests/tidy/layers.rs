//! The dependency rule: the table in ARCHITECTURE.md against the `use` lines of the tree, both ways.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::tree::{File, Finding, Tree};

const TABLE: &str = "ARCHITECTURE.md";
const ROOT: &str = "dataplane/src/";
/// What only lists or re-exports modules.
const EXEMPT: [&str; 2] = ["lib", "internals"];
/// Where the runtime may be named.
const RUNTIME: [&str; 5] = ["net", "shard", "handoff", "placement", "start"];
/// Modules of the data plane that other crates use.
const DOOR: [&str; 4] = ["start", "config", "control", "stats"];

/// A row: a level, its modules, the levels that they may import.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    level: u8,
    modules: Vec<String>,
    imports: Vec<u8>,
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(TABLE) else { return vec![File::new(TABLE, "").finding(1, "is missing")] };
    let rows = rows(&page.text);
    let mut findings = completeness(tree, page, &rows);
    for file in tree.rust().filter(|file| file.path.starts_with(ROOT) && !file.is_test()) {
        findings.extend(layer(file, &rows));
    }
    let outside = ["controlplane/src/", "bench/src/", "tests/src/"];
    for file in tree.rust().filter(|file| outside.iter().any(|root| file.path.starts_with(root))) {
        findings.extend(door(file));
    }
    findings
}

/// Rows of the table: `| 1 | \`a\`, \`b::c\` | 0, 1 |`.
fn rows(text: &str) -> Vec<Row> {
    let rule = text.split("## Dependency rule").nth(1).unwrap_or_default();
    let numbers = |cell: &str| cell.split(',').filter_map(|level| level.trim().parse().ok()).collect();
    rule.lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [level, modules, imports] = cells[..] else { return None };
            let modules = modules.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Some(Row { level: level.parse().ok()?, modules, imports: numbers(imports) })
        })
        .collect()
}

/// Every module of the table exists, every module of the tree is in the table.
fn completeness(tree: &Tree, page: &File, rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if rows.is_empty() {
        findings.push(page.finding(1, "has no table under `## Dependency rule`"));
    }
    let exists = |module: &str| {
        let path = format!("{ROOT}{}", module.replace("::", "/"));
        tree.files
            .iter()
            .any(|file| file.path == format!("{path}.rs") || file.path == format!("{path}/mod.rs"))
    };
    for module in rows.iter().flat_map(|row| &row.modules).filter(|module| !exists(module)) {
        findings.push(page.finding(1, format!("`{module}` of the dependency table does not exist")));
    }
    for file in tree.rust().filter(|file| file.path.starts_with(ROOT) && !file.is_test()) {
        let module = module_of(file);
        if !EXEMPT.contains(&module[0].as_str()) && row_of(&module, rows).is_none() {
            findings.push(file.finding(1, format!("`{}` is not in the dependency table", module.join("::"))));
        }
    }
    findings
}

fn module_of(file: &File) -> Vec<String> {
    let path = file.path.strip_prefix(ROOT).unwrap_or(&file.path);
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The row of the longest prefix of a path.
fn row_of<'a>(path: &[String], rows: &'a [Row]) -> Option<&'a Row> {
    (1..=path.len()).rev().find_map(|length| {
        let prefix = path[..length].join("::");
        rows.iter().find(|row| row.modules.contains(&prefix))
    })
}

fn layer(file: &File, rows: &[Row]) -> Vec<Finding> {
    let own = module_of(file);
    let paths = paths(file);
    let mut findings = Vec::new();
    for (line, path) in &paths {
        let top = path[0].as_str();
        if top == "glommio" && !RUNTIME.contains(&own[0].as_str()) {
            findings.push(file.finding(*line, "only net, shard, handoff, placement and start name glommio"));
        }
        if top != "crate" || EXEMPT.contains(&own[0].as_str()) {
            continue;
        }
        let target = &path[1..];
        let pair = [own[0].as_str(), target[0].as_str()];
        if pair == ["sqs", "kafka"] || pair == ["kafka", "sqs"] {
            findings.push(file.finding(*line, "sqs and kafka never import each other"));
        }
        let (Some(mine), Some(theirs)) = (row_of(&own, rows), row_of(target, rows)) else { continue };
        let beside = mine.level == theirs.level && own[0] == target[0];
        if !beside && !mine.imports.contains(&theirs.level) {
            let text = format!(
                "`{}` of level {} imports `{}` of level {}: see the table in {TABLE}",
                own.join("::"),
                mine.level,
                target.join("::"),
                theirs.level
            );
            findings.push(file.finding(*line, text));
        }
    }
    findings
}

fn door(file: &File) -> Vec<Finding> {
    let other = |(line, path): &(usize, Vec<String>)| {
        let uses_more = path[0] == "dataplane" && path.len() > 1 && !DOOR.contains(&path[1].as_str());
        uses_more.then(|| {
            file.finding(
                *line,
                format!(
                    "`{}`: only dataplane::{{start, config, control, stats}} are a door",
                    path.join("::")
                ),
            )
        })
    };
    paths(file).iter().filter_map(other).collect()
}

/// Paths that begin with `crate`, `dataplane` or `glommio`, with their lines, outside of tests.
fn paths(file: &File) -> BTreeSet<(usize, Vec<String>)> {
    let Ok(syntax) = syn::parse_file(&file.text) else { return BTreeSet::new() };
    let mut paths = Paths::default();
    paths.visit_file(&syntax);
    paths.found
}

#[derive(Default)]
struct Paths {
    found: BTreeSet<(usize, Vec<String>)>,
}

impl Paths {
    fn add(&mut self, line: usize, path: &[String]) {
        let known = ["crate", "dataplane", "glommio"];
        if path.first().is_some_and(|first| known.contains(&first.as_str()))
            && (path.len() > 1 || path[0] == "glommio")
        {
            self.found.insert((line, path.to_vec()));
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
            syn::UseTree::Name(name) => self.add(name.ident.span().start().line, &with(&name.ident)),
            syn::UseTree::Rename(name) => self.add(name.ident.span().start().line, &with(&name.ident)),
            syn::UseTree::Glob(glob) => self.add(glob.star_token.spans[0].start().line, before),
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string().contains("test"),
        _ => attribute.path().is_ident("test"),
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.add(first.ident.span().start().line, &names);
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NONE, lines};

    const PAGE: &str = "## Dependency rule\n\n| level | modules | may import |\n|---|---|---|\n\
        | 0 | `message` | |\n| 1 | `sqs::lease`, `kafka::errors` | 0, 1 |\n| 2 | `net` | 0 |\n\
        | 3 | `sqs`, `kafka` | 0, 1, 2 |\n";

    fn found(path: &str, text: &str) -> Vec<usize> {
        let mut files = vec![(TABLE, PAGE)];
        for module in ["message", "sqs/lease", "kafka/errors", "net", "sqs/mod", "kafka/mod"] {
            files.push((Box::leak(format!("{ROOT}{module}.rs").into_boxed_str()), ""));
        }
        files.retain(|(other, _)| *other != path);
        files.push((path, text));
        lines(&check(&Tree::of(&files)))
    }

    #[test]
    fn the_table_is_read() {
        let row =
            Row { level: 3, modules: vec!["sqs".to_owned(), "kafka".to_owned()], imports: vec![0, 1, 2] };
        assert_eq!(rows(PAGE)[3], row);
        assert_eq!(found("dataplane/src/message.rs", ""), NONE);
    }

    #[test]
    fn an_import_upwards_is_found() {
        assert_eq!(found("dataplane/src/message.rs", "use std::fmt;\nuse crate::net::A;"), [2]);
        assert_eq!(found("dataplane/src/net.rs", "fn a() {\n    crate::sqs::call();\n}"), [2]);
        assert_eq!(found("dataplane/src/net.rs", "use crate::{message::B, sqs::lease::C};"), [1]);
        assert_eq!(found("dataplane/src/net.rs", "use crate::message::B;"), NONE);
        assert_eq!(found("dataplane/src/sqs/mod.rs", "use crate::sqs::lease::C;\nuse crate::net::A;"), NONE);
    }

    #[test]
    fn tests_may_import_what_they_need() {
        assert_eq!(
            found("dataplane/src/message.rs", "#[cfg(test)]\nmod tests {\n use crate::net::A;\n}"),
            NONE
        );
    }

    #[test]
    fn source_and_sink_do_not_know_each_other() {
        assert_eq!(found("dataplane/src/sqs/mod.rs", "use crate::kafka::errors::A;"), [1]);
        assert_eq!(found("dataplane/src/kafka/mod.rs", "use crate::sqs::lease::A;"), [1]);
    }

    #[test]
    fn the_runtime_is_named_in_few_places() {
        assert_eq!(found("dataplane/src/message.rs", "use glommio::Task;"), [1]);
        assert_eq!(found("dataplane/src/net.rs", "use glommio::Task;"), NONE);
    }

    #[test]
    fn table_and_tree_do_not_drift() {
        assert_eq!(found("dataplane/src/news.rs", ""), [1]);
        let short = Tree::of(&[(TABLE, PAGE), ("dataplane/src/message.rs", "")]);
        assert_eq!(check(&short).len(), 5, "five modules of the table do not exist");
    }

    #[test]
    fn other_crates_come_through_the_door() {
        assert_eq!(
            found("controlplane/src/a.rs", "use dataplane::config::Config;\nuse dataplane::sqs::Calls;"),
            [2]
        );
    }
}
