//! YAML 1.2 (and so JSON) into nodes that know their line. Bounded: depth, number of nodes, no aliases.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Number, Value};

/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most nodes in one file.
const MAX_NODES: usize = 1_000_000;

/// A node of a document.
pub(super) struct Node {
    /// Line it starts at, from 1.
    pub(super) line: u32,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
pub(super) enum Kind {
    /// Nothing.
    Null,
    /// Text as written; `plain` = without quotes, so it may mean a number or a truth value.
    Scalar { text: String, plain: bool },
    /// A list.
    Seq(Vec<Node>),
    /// Keys with their lines.
    Map(Vec<(String, u32, Node)>),
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Where, from 1.
    pub(super) line: u32,
    /// Code of the message.
    pub(super) code: &'static str,
    /// What the parser said.
    pub(super) detail: String,
}

fn wrong(line: u32, code: &'static str, detail: impl Into<String>) -> Wrong {
    Wrong { line, code, detail: detail.into() }
}

fn line_of(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX).max(1)
}

/// The meaning of a scalar in the core schema.
pub(super) fn scalar(text: String, plain: bool) -> Value {
    if !plain {
        return Value::String(text);
    }
    match text.as_str() {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    // `0123` is a text here: nobody who writes a leading zero means a number.
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !leading_zero && digits.starts_with(|c: char| c.is_ascii_digit()) {
        if let Ok(n) = text.trim_start_matches('+').parse::<i64>() {
            return Value::Number(n.into());
        }
        if let Some(n) = text
            .parse::<f64>()
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+')))
            .and_then(Number::from_f64)
        {
            return Value::Number(n);
        }
    }
    Value::String(text)
}

/// Every document of a file; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Wrong> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let mut out = Vec::new();
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(out),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            other => {
                let node = reader.node(other, line, 0)?;
                if !matches!(node.kind, Kind::Null) {
                    out.push(node);
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, u32), Wrong> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, line_of(&span))),
            Some(Err(e)) => Err(wrong(u32::try_from(e.marker().line()).unwrap_or(1).max(1), "api.state_syntax", e.info())),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn node(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<Node, Wrong> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(wrong(line, "api.state_too_deep", ""));
        }
        let kind = match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null,
                    _ => Kind::Scalar { text: text.into_owned(), plain },
                }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, line) = self.next()?;
                    match event {
                        Event::SequenceEnd => break Kind::Seq(items),
                        other => items.push(self.node(other, line, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.map(depth)?,
            // Anchors can blow a small file up to gigabytes; declared state does without them.
            Event::Alias(_) => return Err(wrong(line, "api.state_alias", "")),
            _ => return Err(wrong(line, "api.state_syntax", "unexpected end")),
        };
        Ok(Node { line, kind })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Wrong> {
        let mut entries: Vec<(String, u32, Node)> = Vec::new();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Kind::Map(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(wrong(line, "api.state_syntax", "a key must be a text")),
            };
            if entries.iter().any(|(k, ..)| *k == key) {
                return Err(wrong(line, "api.state_twice", key));
            }
            let (event, value_line) = self.next()?;
            let value = self.node(event, value_line, depth + 1)?;
            entries.push((key, line, value));
        }
    }
}
