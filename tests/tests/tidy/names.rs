//! Names that say nothing.

use syn::visit::{self, Visit};

use super::tree::{File, Finding, Tree};

/// Words that name anything and so nothing.
const BANNED: [&str; 11] = [
    "manager", "handler", "helper", "helpers", "util", "utils", "common", "engine", "service", "data", "info",
];

/// Names that the field or others chose.
const FOREIGN: [(&str, &str); 3] = [
    ("DataPlane", "the field's own term"),
    ("data_type", "SQS's own word: DataType of a message attribute"),
    ("GetQueueAttributes", "SQS's own word"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for part in file.path.split('/') {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            if banned(stem).is_some() {
                findings.push(file.finding(1, format!("`{part}` says nothing: name the file by its noun")));
            }
        }
        if let Ok(syntax) = syn::parse_file(&file.text) {
            let mut names = Names { file, findings: Vec::new() };
            names.visit_file(&syntax);
            findings.extend(names.findings);
        }
    }
    findings
}

/// The banned word in a name in snake or camel case.
fn banned(name: &str) -> Option<&'static str> {
    if FOREIGN.iter().any(|(foreign, _)| *foreign == name) {
        return None;
    }
    let mut split = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            split.push('_');
        }
        split.extend(letter.to_lowercase());
    }
    split.split('_').find_map(|word| BANNED.into_iter().find(|banned| *banned == word))
}

struct Names<'a> {
    file: &'a File,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn look(&mut self, name: &syn::Ident) {
        if let Some(word) = banned(&name.to_string()) {
            let text = format!("`{name}`: \"{word}\" says nothing; name what it is or does");
            self.findings.push(self.file.finding(name.span().start().line, text));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Fn(item) => self.look(&item.sig.ident),
            syn::Item::Struct(item) => self.look(&item.ident),
            syn::Item::Enum(item) => self.look(&item.ident),
            syn::Item::Trait(item) => self.look(&item.ident),
            syn::Item::Type(item) => self.look(&item.ident),
            syn::Item::Mod(item) => self.look(&item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // Methods of a trait are named by whoever made the trait.
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.look(&item.sig.ident);
        visit::visit_impl_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NONE, lines};

    fn found(path: &str, text: &str) -> Vec<usize> {
        lines(&check(&Tree::of(&[(path, text)])))
    }

    #[test]
    fn empty_words_are_found_in_every_kind_of_name() {
        for text in [
            "struct PumpManager;",
            "enum DataKind { A }",
            "fn handle_info() {}",
            "mod utils {}",
            "trait Helper {}",
            "impl A { fn common_part() {} }",
            "type Engine = u8;",
        ] {
            assert_eq!(found("bench/src/a.rs", text), [1], "{text}");
        }
        assert_eq!(found("bench/src/util.rs", ""), [1]);
        assert_eq!(found("bench/tests/common/mod.rs", ""), [1]);
    }

    #[test]
    fn names_that_only_contain_the_letters_are_fine() {
        for text in [
            "struct Dataplane;",
            "fn metadata() {}",
            "fn informed() {}",
            "impl Service for A { fn data() {} }",
        ] {
            assert_eq!(found("dataplane/src/metadata.rs", text), NONE, "{text}");
        }
    }
}
