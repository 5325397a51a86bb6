//! Shape of a file: its header, its length, the length of its functions, reasons of attributes, `unsafe`.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::tree::{File, Finding, Tree};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// How far above an `unsafe` its `SAFETY` may begin.
const SAFETY_LINES_MAX: usize = 12;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| [".rs", ".sh", ".py"].iter().any(|ending| file.is(ending))) {
        findings.extend(length(file));
    }
    for file in tree.rust() {
        findings.extend(header(file));
        match syn::parse_file(&file.text) {
            Ok(syntax) => findings.extend(walk(file, &syntax, allows_unsafe(tree, file))),
            Err(error) => findings.push(file.finding(1, format!("cannot be parsed: {error}"))),
        }
    }
    findings
}

fn length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX)
        .then(|| file.finding(lines, format!("{lines} lines: split it by idea, {FILE_LINES_MAX} at most")))
}

fn header(file: &File) -> Option<Finding> {
    (!file.text.starts_with("//!")).then(|| file.finding(1, "open with `//!`: what the file is for"))
}

/// Whether the file, or the module that it is a part of, says why it needs `unsafe`.
fn allows_unsafe(tree: &Tree, file: &File) -> bool {
    let says = |file: &File| {
        file.text.contains("allow(unsafe_code, reason") || file.text.contains("allow(\n    unsafe_code,")
    };
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    says(file) || tree.file(&format!("{folder}/mod.rs")).is_some_and(says)
}

struct Walk<'a> {
    file: &'a File,
    lines: Vec<&'a str>,
    allows_unsafe: bool,
    findings: Vec<Finding>,
}

fn walk(file: &File, syntax: &syn::File, allows_unsafe: bool) -> Vec<Finding> {
    let mut walk = Walk { file, lines: file.text.lines().collect(), allows_unsafe, findings: Vec::new() };
    walk.visit_file(syntax);
    walk.findings
}

impl Walk<'_> {
    fn function(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let (first, last) = (name.span().start().line, whole.end().line);
        let count = last + 1 - first;
        let excused = (first.saturating_sub(4)..first)
            .any(|line| self.lines.get(line).is_some_and(|text| text.trim_start().starts_with("// long:")));
        if count > FUNCTION_LINES_MAX && !excused {
            let text = format!(
                "`{name}` has {count} lines: split it, or give the reason in a line `// long: …` above it"
            );
            self.findings.push(self.file.finding(first, text));
        }
    }

    fn is_unsafe(&mut self, span: proc_macro2::Span, what: &str) {
        let line = span.start().line;
        if !self.allows_unsafe {
            let text = format!("{what} outside a module that opens with #![allow(unsafe_code, reason = …)]");
            self.findings.push(self.file.finding(line, text));
        }
        let above = &self.lines[line.saturating_sub(SAFETY_LINES_MAX)..line.min(self.lines.len())];
        if !above.iter().any(|text| text.contains("SAFETY") || text.contains("# Safety")) {
            self.findings
                .push(self.file.finding(line, format!("{what} without a `SAFETY:` comment above it")));
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_unsafe(&mut self, expression: &'ast syn::ExprUnsafe) {
        self.is_unsafe(expression.span(), "`unsafe`");
        visit::visit_expr_unsafe(self, expression);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.is_unsafe(item.span(), "`unsafe impl`");
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let line = attribute.span().start().line;
        let path = attribute.path();
        if path.is_ident("ignore") {
            let text = "an ignored test proves nothing: run it, make it a benchmark, or delete it";
            self.findings.push(self.file.finding(line, text));
        }
        if (path.is_ident("allow") || path.is_ident("expect"))
            && let syn::Meta::List(list) = &attribute.meta
            && !list.tokens.to_string().contains("reason")
        {
            self.findings.push(self.file.finding(line, "give the attribute its `reason = \"…\"`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NONE, lines};

    fn found(text: &str) -> Vec<usize> {
        lines(&check(&Tree::of(&[("dataplane/src/a.rs", text)])))
    }

    #[test]
    fn a_file_has_a_header_and_an_end() {
        assert_eq!(found("fn a() {}\n"), [1]);
        assert_eq!(found("//! A.\nfn a() {}\n"), NONE);
        let long = format!("//! A.\n{}", "// b\n".repeat(FILE_LINES_MAX));
        assert_eq!(found(&long), [FILE_LINES_MAX + 1]);
        assert_eq!(found("//! A.\nfn {\n"), [1], "what cannot be read is found");
    }

    #[test]
    fn a_long_function_has_a_reason() {
        let body = "    a();\n".repeat(FUNCTION_LINES_MAX);
        assert_eq!(found(&format!("//! A.\nfn long() {{\n{body}}}\n")), [2]);
        assert_eq!(found(&format!("//! A.\n// long: one table\nfn long() {{\n{body}}}\n")), NONE);
        assert_eq!(found(&format!("//! A.\nimpl A {{\nfn long() {{\n{body}}}\n}}\n")), [3]);
    }

    #[test]
    fn unsafe_stands_in_its_own_module_and_says_why() {
        assert_eq!(found("//! A.\nfn a() { unsafe { b() } }\n"), [2, 2]);
        let head = "//! A.\n#![allow(unsafe_code, reason = \"FFI\")]\n";
        assert_eq!(
            found(&format!("{head}fn a() {{\n    // SAFETY: b is.\n    unsafe {{ b() }}\n}}\n")),
            NONE
        );
        assert_eq!(found(&format!("{head}unsafe impl Send for A {{}}\n")), [3]);
    }

    #[test]
    fn attributes_have_reasons_and_tests_run() {
        assert_eq!(found("//! A.\n#[allow(dead_code)]\nfn a() {}\n"), [2]);
        assert_eq!(found("//! A.\n#[allow(dead_code, reason = \"b\")]\nfn a() {}\n"), NONE);
        assert_eq!(found("//! A.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n"), [3]);
    }
}
