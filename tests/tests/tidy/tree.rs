//! The files of the project, and what is found in them.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// What is made, not written.
const BUILT: [&str; 5] = ["target", ".git", ".cache", "node_modules", "__pycache__"];
/// The same, by its path.
const BUILT_AT: [&str; 1] = ["dashboard/dist"];

/// A text file of the project.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// Content.
    pub(crate) text: String,
}

impl File {
    /// A file of a test.
    pub(crate) fn new(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether its name ends so.
    pub(crate) fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// Whether it is Rust that only tests or benchmarks use.
    pub(crate) fn is_test(&self) -> bool {
        let path = self.path.as_str();
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.contains("/benches/")
            || self.is("/tests.rs")
    }

    /// A finding at a line, counted from 1.
    pub(crate) fn finding(&self, line: usize, text: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, text: text.into() }
    }
}

/// All text files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Files by path.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads everything but what is built.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub(crate) fn read() -> io::Result<Tree> {
        let mut tree = Tree::default();
        tree.walk(&tests::root(), "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            // A file `.git` is a worktree's pointer to its repository.
            if BUILT.contains(&name.as_str()) || BUILT_AT.contains(&path.as_str()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"))?;
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    /// A tree of a test.
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| File::new(path, text)).collect() }
    }

    /// Files whose names end so.
    pub(crate) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.is(ending))
    }

    /// Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.ending(".rs")
    }

    /// A file by its path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// Something untidy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Lines that a rule finds in one file.
#[cfg(test)]
pub(crate) fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

/// Nothing found.
pub(crate) const NONE: [usize; 0] = [];
