//! One source file: its opening, its size, its functions, its names, and
//! whether it may be unsafe.

#[cfg(test)]
mod tests;

use std::path::{Component, Path};

use super::Finding;
use super::lexer::code;

/// Lines of a file that is no test.
const FILE: usize = 400;
/// Lines of any file.
const ANY_FILE: usize = 600;
/// Lines of a function, from its name to its closing brace.
const FUNCTION: usize = 60;
const PARAMETERS: usize = 5;
const TRAIT_METHODS: usize = 7;

/// Files that may be longer than [`FILE`], each with its reason.
const LONG: &[(&str, &str)] = &[];

/// Where `unsafe` may be (DESIGN.md, ARCHITECTURE.md). In policy-host it is one
/// file; the caller counts them.
const UNSAFE: &[&str] = &[
    "crates/xen/src/sys",
    "crates/guest/src",
    "crates/policy-host/src",
    // A policy that a test needs to misbehave.
    "policies/tests-hostile/src",
];

/// Words that say nothing of what a type is.
const EMPTY_WORDS: &[&str] = &["Manager", "Helper", "Util", "Utils", "Context", "Service"];

/// Types that may be called by such a word, each with its reason.
const NAMED: &[(&str, &str)] = &[("SavedContext", "Xen's own word: XEN_DOMCTL_sethvmcontext")];

/// What was found in a file.
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) has_unsafe: bool,
}

/// Checks a file; `path` is relative to the checkout.
pub(super) fn check(path: &Path, text: &str) -> Report {
    let code = code(text);
    let mut found = Found {
        path,
        findings: Vec::new(),
    };
    let file = path.file_name().unwrap_or_default();
    if file == "mod.rs" {
        found.add(
            0,
            "name the module's file after the module, beside its folder".into(),
        );
    }
    opening(&mut found, text);
    size(&mut found, text);
    let has_unsafe = unsafety(&mut found, &code);
    names(&mut found, &code);
    functions(&mut found, &code);
    Report {
        findings: found.findings,
        has_unsafe,
    }
}

struct Found<'a> {
    path: &'a Path,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, line: usize, message: String) {
        self.findings.push(Finding {
            path: self.path.to_path_buf(),
            line,
            message,
        });
    }
}

/// Tests of `foo.rs` are in `foo/tests.rs`, of a crate in `tests/`.
fn is_test(path: &Path) -> bool {
    path.components().any(
        |part| matches!(part, Component::Normal(name) if name == "tests" || name == "tests.rs"),
    )
}

fn opening(found: &mut Found<'_>, text: &str) {
    // An attribute of the module may stand first.
    let before = text.find("//!").map(|at| text[..at].trim_end());
    let opens = before
        .is_some_and(|text| text.is_empty() || text.starts_with("#![") && text.ends_with(']'));
    if !opens {
        found.add(
            1,
            "open with `//!`: what the module is, and what it is not".into(),
        );
    }
}

fn size(found: &mut Found<'_>, text: &str) {
    let lines = text.lines().count();
    let long = LONG.iter().any(|(path, _)| found.path == Path::new(path));
    let limit = if is_test(found.path) || long {
        ANY_FILE
    } else {
        FILE
    };
    if lines > limit {
        found.add(
            0,
            format!("{lines} lines, at most {limit}: split it along its parts"),
        );
    }
}

fn unsafety(found: &mut Found<'_>, code: &str) -> bool {
    let lines: Vec<usize> = (1..)
        .zip(code.lines())
        .filter(|(_, line)| words(line).any(|word| word == "unsafe"))
        .map(|(n, _)| n)
        .collect();
    let text = found.path.to_string_lossy().into_owned();
    let allowed = UNSAFE.iter().any(|prefix| text.starts_with(prefix));
    if let (Some(&line), false) = (lines.first(), allowed) {
        found.add(line, format!("unsafe is only allowed below {UNSAFE:?}"));
    }
    !lines.is_empty()
}

fn names(found: &mut Found<'_>, code: &str) {
    for (number, line) in (1..).zip(code.lines()) {
        let mut previous = "";
        for word in words(line) {
            let defines = matches!(previous, "struct" | "enum" | "trait" | "type" | "union");
            let excused = NAMED.iter().any(|(name, _)| *name == word);
            let empty = EMPTY_WORDS
                .iter()
                .find(|&&empty| defines && !excused && word.ends_with(empty));
            if let Some(empty) = empty {
                found.add(
                    number,
                    format!("{word}: \"{empty}\" says nothing of what it is"),
                );
            }
            previous = word;
        }
    }
}

fn functions(found: &mut Found<'_>, code: &str) {
    for (at, keyword) in keywords(code) {
        let line = 1 + code[..at].matches('\n').count();
        let name = words(&code[at + keyword.len()..])
            .next()
            .unwrap_or_default();
        let open = body(code.as_bytes(), at);
        let close = open.map_or(at, |open| closing(code.as_bytes(), open));
        if keyword == "trait" {
            let methods = keywords(&code[at..close])
                .filter(|(_, keyword)| *keyword == "fn")
                .count();
            if methods > TRAIT_METHODS {
                found.add(
                    line,
                    format!("the trait {name} has {methods} methods, at most {TRAIT_METHODS}"),
                );
            }
            continue;
        }
        let lines = 1 + code[at..close].matches('\n').count();
        if lines > FUNCTION {
            found.add(
                line,
                format!("{name} has {lines} lines, at most {FUNCTION}"),
            );
        }
        let count = parameter_count(&code.as_bytes()[at..]);
        if count > PARAMETERS {
            found.add(
                line,
                format!("{name} has {count} parameters, at most {PARAMETERS}"),
            );
        }
    }
}

/// `fn` and `trait` where something of a name is defined: a type `fn(u8)` is not.
fn keywords(code: &str) -> impl Iterator<Item = (usize, &'static str)> {
    ["fn", "trait"].into_iter().flat_map(move |keyword| {
        code.match_indices(keyword).filter_map(move |(at, _)| {
            let before = code[..at].chars().next_back();
            let after = &code[at + keyword.len()..];
            let alone = !before.is_some_and(is_word) && after.starts_with([' ', '\n']);
            (alone && after.trim_start().starts_with(is_word)).then_some((at, keyword))
        })
    })
}

/// The brace that opens the body, unless there is none.
fn body(code: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the brace at `open` is closed.
fn closing(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

/// Of a function whose text begins with `fn`; `self` counts.
fn parameter_count(code: &[u8]) -> usize {
    let mut angles = 0_usize;
    let mut depth = 0_usize;
    let mut count = 0;
    let mut pending = false;
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'<' => angles += 1,
            // An arrow closes nothing.
            b'>' if code[at - 1] != b'-' => angles = angles.saturating_sub(1),
            // Parentheses among the type parameters are no parameters.
            b'(' | b'[' if depth > 0 || angles == 0 => depth += 1,
            b')' | b']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return count + usize::from(pending);
                }
            }
            b',' if depth == 1 && angles == 0 => {
                count += usize::from(pending);
                pending = false;
                continue;
            }
            b'{' | b';' if depth == 0 => return count,
            _ => {}
        }
        if depth > 0 && !byte.is_ascii_whitespace() && !(*byte == b'(' && depth == 1) {
            pending = true;
        }
    }
    count
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| !is_word(character))
        .filter(|word| !word.is_empty())
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
