//! Rust source as its tokens: without comments and documentation, and with strings known from code. What a check looks
//! for it finds however it is spaced, and only where it is meant. Resolves no name and expands no macro.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The tokens of one file.
pub(crate) struct Code {
    tokens: Vec<Token>,
    functions: Vec<Function>,
}

/// A word, a mark (`::` is one), or a literal as it is written.
struct Token {
    text: String,
    line: usize,
    literal: bool,
}

/// A function that has a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// From the line that names it to its last brace.
    pub(crate) lines: usize,
}

impl Code {
    /// Reads a file of Rust.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let stream: TokenStream = text.parse().map_err(|error| anyhow!("is not Rust: {error}"))?;
        let mut code = Self { tokens: Vec::new(), functions: Vec::new() };
        code.add(stream);
        Ok(code)
    }

    /// The lines that say this; its tokens are parted by spaces: `Instant :: now`.
    pub(crate) fn says(&self, pattern: &str) -> impl Iterator<Item = usize> {
        let pattern: Vec<String> = pattern.split(' ').map(str::to_owned).collect();
        self.tokens
            .windows(pattern.len())
            .filter(move |tokens| tokens.iter().zip(&pattern).all(|(token, word)| token.is(word)))
            .map(|tokens| tokens[0].line)
    }

    /// What follows this word, and where: the names of the types, if the word is `struct`.
    pub(crate) fn after(&self, word: &str) -> impl Iterator<Item = (usize, &str)> {
        self.tokens
            .windows(2)
            .filter(move |pair| pair[0].is(word) && !pair[1].literal)
            .map(|pair| (pair[1].line, pair[1].text.as_str()))
    }

    /// All functions, those inside others too.
    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    fn add(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            let documentation = documentation(&trees[at..]);
            if documentation > 0 {
                at += documentation;
                continue;
            }
            self.functions.extend(function(&trees[at..]));
            at += self.add_one(&trees[at..]);
        }
    }

    /// Adds the first of these, and says how many it was.
    fn add_one(&mut self, trees: &[TokenTree]) -> usize {
        let line = trees[0].span().start().line;
        match &trees[0] {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                self.push(open, line, false);
                self.add(group.stream());
                self.push(close, group.span_close().start().line, false);
            }
            TokenTree::Punct(first) if first.as_char() == ':' && first.spacing() == Spacing::Joint => {
                self.push("::", line, false);
                return 2;
            }
            TokenTree::Literal(literal) => self.push(&literal.to_string(), line, true),
            word_or_mark => self.push(&word_or_mark.to_string(), line, false),
        }
        1
    }

    fn push(&mut self, text: &str, line: usize, literal: bool) {
        self.tokens.push(Token { text: text.to_owned(), line, literal });
    }
}

impl Token {
    fn is(&self, word: &str) -> bool {
        !self.literal && self.text == word
    }
}

/// How many of these are `#[doc…]` or `#![doc…]`, which is what a documenting comment is to the compiler.
fn documentation(trees: &[TokenTree]) -> usize {
    let is = |at: usize, mark: char| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == mark);
    if !is(0, '#') {
        return 0;
    }
    let at = if is(1, '!') { 2 } else { 1 };
    let Some(TokenTree::Group(group)) = trees.get(at) else { return 0 };
    let first = group.stream().into_iter().next();
    if first.is_some_and(|first| first.to_string() == "doc") { at + 1 } else { 0 }
}

/// The function that begins here, if one does and has a body.
fn function(trees: &[TokenTree]) -> Option<Function> {
    let [TokenTree::Ident(word), TokenTree::Ident(name), rest @ ..] = trees else { return None };
    if word != "fn" {
        return None;
    }
    let body = rest.iter().find_map(|tree| match tree {
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
        _ => None,
    })??;
    let lines = body.span_close().end().line - word.span().start().line + 1;
    Some(Function { name: name.to_string(), lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"
        //! Tells of todo!() and is not one.
        /// So does this: Instant::now().
        struct Room; // todo!()
        const NAME: &str = "a \"name\"";
        const RAW: &str = r#"raw todo!()"#;
        fn clock() -> u64 { Instant
            ::now() }
        trait Port {
            fn open(&self, with: fn(u8) -> u8);
            fn close(&self) {
                fn inner() {}
            }
        }
    "##;

    #[test]
    fn comments_documentation_and_strings_say_nothing() {
        let code = Code::read(TEXT).unwrap();
        assert_eq!(code.says("todo !").count(), 0);
        assert_eq!(code.says("Instant :: now").collect::<Vec<_>>(), [7]);
        assert_eq!(code.after("struct").collect::<Vec<_>>(), [(4, "Room")]);
    }

    #[test]
    fn functions_are_those_with_a_body() {
        let code = Code::read(TEXT).unwrap();
        let found: Vec<_> = code.functions().iter().map(|f| (f.name.as_str(), f.lines)).collect();
        assert_eq!(found, [("clock", 2), ("close", 3), ("inner", 1)]);
    }

    #[test]
    fn what_is_not_rust_is_refused() {
        assert!(Code::read("fn main() {").is_err());
    }
}
