//! Parsing of filters. A recursive descent, in the order of the grammar in `filter.txt`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::compare::Operator;
use super::condition::Condition;
use super::filter::{Filter, Node};
use super::key::Key;
use super::list::List;
use super::wanted::{Wanted, unescaped};

/// Most groups and `not`s inside each other.
const DEPTH_MAX: usize = 64;

/// Most bytes of a file with values.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Reason that a filter is invalid, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    at: usize,
    reason: String,
}

impl FilterError {
    /// Returns the place in the filter, in bytes.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the reason, which says what to write instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for FilterError {
    /// The reason, then the filter with a mark below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.text.get(..self.at).map_or(0, |before| before.chars().count());
        // On one line, so that the mark is below its place.
        let line: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{}\n  {line}\n  {:column$}^", self.reason, "")
    }
}

impl std::error::Error for FilterError {}

/// The operators, longest first.
const OPERATORS: [(&str, Operator); 9] = [
    ("~~=", Operator::Matches),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Contains),
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

const CONNECTIVES: [&str; 6] = ["and", "AND", "&&", "or", "OR", "||"];

const OPERATOR_SIGNS: [char; 5] = ['=', '!', '~', '<', '>'];

impl FromStr for Filter {
    type Err = FilterError;

    /// Parses a filter. `in @FILE` reads the file.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser { text, at: 0, depth: 0, groups: 0, conditions: Vec::new() };
    parser.skip_blanks();
    if parser.rest().is_empty() {
        return Err(parser.error("nothing to compare; write KEY=VALUE"));
    }
    let root = parser.alternatives()?;
    match parser.rest().chars().next() {
        None => Ok(Filter::new(parser.conditions, root)),
        Some(')') => Err(parser.error("no `(` belongs to this; a value with parentheses goes into double quotes")),
        Some(_) => Err(parser.error("`and` or `or` is missing here; a value with blanks goes into double quotes")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// Number of groups and `not`s around this place.
    depth: usize,
    /// Number of open parentheses around this place.
    groups: usize,
    conditions: Vec<Condition>,
}

impl<'t> Parser<'t> {
    /// `A or B or C`
    fn alternatives(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.conjunction()?];
        while self.take_word(&["or", "OR", "||"]) {
            nodes.push(self.conjunction()?);
        }
        Ok(joined(nodes, Node::Any))
    }

    /// `A and B and C`
    fn conjunction(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.operand()?];
        while self.take_word(&["and", "AND", "&&"]) {
            nodes.push(self.operand()?);
        }
        Ok(joined(nodes, Node::All))
    }

    /// `not A`, `(A)`, or a condition
    fn operand(&mut self) -> Result<Node, FilterError> {
        self.skip_blanks();
        let start = self.at;
        let is_not = self.take_word(&["not", "NOT"]);
        // A field can have this name.
        if is_not && !self.rest().starts_with(OPERATOR_SIGNS) && !self.rest().starts_with('?') {
            let node = self.nested(start, Parser::operand)?;
            return Ok(Node::Not(Box::new(node)));
        }
        self.at = start;
        if !self.take("(") {
            return self.condition();
        }
        self.groups += 1;
        let node = self.nested(start, Parser::alternatives)?;
        self.groups -= 1;
        if self.take(")") {
            self.skip_blanks();
            return Ok(node);
        }
        self.at = start;
        Err(self.error("no `)` closes this"))
    }

    /// Parses what is inside a group or a `not` that starts at `start`.
    fn nested(
        &mut self,
        start: usize,
        parse: impl FnOnce(&mut Self) -> Result<Node, FilterError>,
    ) -> Result<Node, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.at = start;
            return Err(self.error(&format!("more than {DEPTH_MAX} groups inside each other")));
        }
        let node = parse(self);
        self.depth -= 1;
        node
    }

    fn is(&mut self, condition: Condition) -> Node {
        self.conditions.push(condition);
        Node::Is(self.conditions.len() - 1)
    }

    /// `exists(KEY)`, `KEY in (A, B)`, or `KEY OPERATOR VALUE`
    fn condition(&mut self) -> Result<Node, FilterError> {
        let start = self.at;
        if self.take_word(&["exists"]) && self.take("(") {
            return self.existence(start);
        }
        self.at = start;
        let key = self.key()?;
        if key.is_empty() {
            return Err(self.error_at(start, "nothing to compare here; write KEY=VALUE"));
        }
        let or_absent = self.take("?");
        self.skip_blanks();
        let at_operator = self.at;
        let key = Key::from_name(&key);
        let is_negated = self.take_word(&["not", "NOT"]);
        if self.take_word(&["in", "IN"]) {
            let values = self.values(&key)?;
            // The negation holds for events without the key.
            let or_absent = or_absent && !is_negated;
            let list = List::new(values);
            let wanted = Wanted::new("");
            let node = self.is(Condition { key, operator: Operator::In, wanted, list, or_absent });
            return Ok(if is_negated { Node::Not(Box::new(node)) } else { node });
        }
        self.at = at_operator;
        let operator = self.operator()?;
        self.skip_blanks();
        let at_value = self.at;
        let typed = self.value()?;
        let wanted = match operator {
            Operator::Matches => Wanted::pattern(typed).map_err(|reason| self.error_at(at_value, &reason))?,
            _ => self.wanted(&key, typed, at_value, operator == Operator::Contains)?,
        };
        Ok(self.is(Condition { key, operator, wanted, list: List::default(), or_absent }))
    }

    /// `KEY)`, after `exists(`
    fn existence(&mut self, start: usize) -> Result<Node, FilterError> {
        self.skip_blanks();
        let at_key = self.at;
        let key = match self.quoted()? {
            Some(quoted) => quoted,
            None => {
                let end = self.rest().find([')', '(', '"']).unwrap_or(self.rest().len());
                let key = self.rest()[..end].trim().to_owned();
                self.at += end;
                key
            }
        };
        if key.is_empty() {
            return Err(self.error_at(at_key, "the name of a field is missing here"));
        }
        self.skip_blanks();
        if !self.take(")") {
            return Err(self.error_at(start, "no `)` closes this; write exists(KEY)"));
        }
        self.skip_blanks();
        let key = Key::from_name(&key);
        let (wanted, list) = (Wanted::new(""), List::default());
        Ok(self.is(Condition { key, operator: Operator::Exists, wanted, list, or_absent: false }))
    }

    /// The key before an operator; a name with operators or blanks in it is in double quotes.
    fn key(&mut self) -> Result<String, FilterError> {
        if let Some(quoted) = self.quoted()? {
            return Ok(quoted);
        }
        let start = self.at;
        while let Some(c) = self.rest().chars().next() {
            let is_end = OPERATOR_SIGNS.contains(&c) || matches!(c, '(' | ')' | '"' | '?');
            if is_end || c.is_whitespace() && self.is_before_word(&["in", "IN", "not", "NOT"]) {
                break;
            }
            if c.is_whitespace() && self.is_before_word(&CONNECTIVES) {
                return Err(self.no_operator(start));
            }
            self.at += c.len_utf8();
        }
        Ok(self.text[start..self.at].trim().to_owned())
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        let found = OPERATORS.into_iter().find(|(sign, _)| self.rest().starts_with(sign));
        let Some((sign, operator)) = found else { return Err(self.no_operator(self.at)) };
        self.at += sign.len();
        Ok(operator)
    }

    fn no_operator(&self, at: usize) -> FilterError {
        let after_connective = self.conditions.last().is_some();
        let quotes = if after_connective { "; a value with `and` or `or` in it goes into double quotes" } else { "" };
        self.error_at(at, &format!("no operator; write KEY=VALUE, or one of != ~= ~~= > >= < <= in{quotes}"))
    }

    /// One value as it was typed, with the quotes around it.
    fn value(&mut self) -> Result<&'t str, FilterError> {
        let start = self.at;
        if self.quoted()?.is_some() {
            let typed = &self.text[start..self.at];
            self.skip_blanks();
            return Ok(typed);
        }
        // An empty one before a connective.
        if self.text[..start].ends_with(char::is_whitespace) && self.is_before_word(&CONNECTIVES) {
            return Ok("");
        }
        let mut open = 0;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ')' if self.groups > 0 => break,
                c if c.is_whitespace() && self.is_before_word(&CONNECTIVES) => break,
                c if c.is_whitespace() => self.check_next_word()?,
                _ => {}
            }
            self.at += c.len_utf8();
        }
        let typed = self.text[start..self.at].trim_end();
        self.skip_blanks();
        Ok(typed)
    }

    /// Refuses `a=1 b=2`, which has no sensible meaning as one value.
    fn check_next_word(&self) -> Result<(), FilterError> {
        let rest = self.rest().trim_start();
        let end =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']'))).unwrap_or(rest.len());
        let after = rest[end..].trim_start();
        let is_operator = OPERATORS.iter().any(|(sign, _)| after.starts_with(sign));
        if end > 0 && rest.starts_with(|c: char| c.is_alphabetic() || c == '_') && is_operator {
            let at = self.text.len() - rest.len();
            let reason = "`and` or `or` is missing here; a value with blanks and operators goes into double quotes";
            return Err(self.error_at(at, reason));
        }
        Ok(())
    }

    /// `(A, B, C)` or `@FILE`
    fn values(&mut self, key: &Key) -> Result<Vec<Wanted>, FilterError> {
        let start = self.at;
        if self.take("@") {
            return self.values_of_file(key, start);
        }
        if !self.take("(") {
            return Err(self.error("a list is missing here; write in (A, B), or in @FILE"));
        }
        let mut values = Vec::new();
        loop {
            self.skip_blanks();
            let at_value = self.at;
            let typed = match self.quoted()? {
                Some(_) => &self.text[at_value..self.at],
                None => {
                    let end = self.rest().find([',', ')']).unwrap_or(self.rest().len());
                    self.at += end;
                    self.text[at_value..self.at].trim_end()
                }
            };
            if typed.is_empty() {
                return Err(self.error_at(at_value, "a value is missing here; an empty one is \"\""));
            }
            values.push(self.wanted(key, typed, at_value, false)?);
            self.skip_blanks();
            if self.take(")") {
                self.skip_blanks();
                return Ok(values);
            }
            if !self.take(",") {
                return Err(match self.rest() {
                    "" => self.error_at(start, "no `)` closes this list"),
                    _ => self.error("`,` or `)` is missing here"),
                });
            }
        }
    }

    /// The lines of a file, without empty ones.
    fn values_of_file(&mut self, key: &Key, start: usize) -> Result<Vec<Wanted>, FilterError> {
        let name = match self.quoted()? {
            Some(quoted) => quoted,
            None => {
                let is_end = |c: char| c.is_whitespace() || c == ')' && self.groups > 0;
                let end = self.rest().find(is_end).unwrap_or(self.rest().len());
                let name = self.rest()[..end].to_owned();
                self.at += end;
                name
            }
        };
        let content =
            read_list(Path::new(&name)).map_err(|reason| self.error_at(start, &format!("{name}: {reason}")))?;
        self.skip_blanks();
        let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| self.wanted(key, line, start, false)).collect()
    }

    /// Parses a value. For a level, it must be one, unless a part of its name is searched for.
    fn wanted(&self, key: &Key, typed: &str, at: usize, is_part: bool) -> Result<Wanted, FilterError> {
        let wanted = Wanted::new(typed);
        if *key == Key::Level && wanted.level.is_none() && !is_part {
            let reason = format!("`{}` is no level; the levels are TRACE, DEBUG, INFO, WARN and ERROR", wanted.text);
            return Err(self.error_at(at, &reason));
        }
        Ok(wanted)
    }

    /// Takes a text in double quotes, in which `\"` and `\\` stand for `"` and `\`, and returns what it stands for.
    fn quoted(&mut self) -> Result<Option<String>, FilterError> {
        let start = self.at;
        if !self.take("\"") {
            return Ok(None);
        }
        let mut escaped = false;
        for (at, c) in self.rest().char_indices() {
            match c {
                '"' if !escaped => {
                    let inside = &self.rest()[..at];
                    self.at += at + 1;
                    let next = self.rest().chars().next();
                    if next.is_some_and(|c| c.is_alphanumeric() || c == '"') {
                        return Err(
                            self.error("text follows the closing quote; inside of quotes, write \\\" for a quote")
                        );
                    }
                    return Ok(Some(unescaped(inside)));
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err(self.error_at(start, "no quote closes this"))
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a sign, if it is next.
    fn take(&mut self, sign: &str) -> bool {
        let is_next = self.rest().starts_with(sign);
        self.at += if is_next { sign.len() } else { 0 };
        is_next
    }

    /// Takes one of some words and the blanks after it, if it is next and ends there.
    fn take_word(&mut self, words: &[&str]) -> bool {
        let found = words.iter().find(|word| starts_with_word(self.rest(), word));
        self.at += found.map_or(0, |word| word.len());
        if found.is_some() {
            self.skip_blanks();
        }
        found.is_some()
    }

    /// Returns whether one of some words is next, after blanks.
    fn is_before_word(&self, words: &[&str]) -> bool {
        let rest = self.rest().trim_start();
        words.iter().any(|word| starts_with_word(rest, word))
    }

    fn error(&self, reason: &str) -> FilterError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, at: usize, reason: &str) -> FilterError {
        FilterError { text: self.text.to_owned(), at, reason: reason.to_owned() }
    }
}

fn joined(mut nodes: Vec<Node>, join: impl FnOnce(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { join(nodes) }
}

/// Returns whether a text starts with a word that ends there.
fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| {
        let next = rest.chars().next().filter(|_| word.starts_with(char::is_alphabetic));
        next.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '@' | '"') || OPERATOR_SIGNS.contains(&c))
    })
}

/// Reads a file of values.
fn read_list(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let is_file = std::fs::metadata(path).map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Err("not a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.take(LIST_BYTES_MAX + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > LIST_BYTES_MAX {
        return Err(format!("more than {} MiB of values", LIST_BYTES_MAX >> 20));
    }
    String::from_utf8(content).map_err(|error| format!("not UTF-8 at offset {}", error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the filter with all groups written out.
    fn shape(text: &str) -> String {
        fn write(node: &Node, conditions: &[Condition]) -> String {
            let join = |nodes: &[Node], word: &str| {
                let nodes: Vec<_> = nodes.iter().map(|node| write(node, conditions)).collect();
                format!("({})", nodes.join(word))
            };
            match node {
                Node::All(nodes) => join(nodes, " and "),
                Node::Any(nodes) => join(nodes, " or "),
                Node::Not(node) => format!("not {}", write(node, conditions)),
                Node::Is(index) => {
                    let Condition { key, operator, wanted, list, or_absent } = &conditions[*index];
                    let values: Vec<_> = list.values().iter().map(|value| value.text.as_str()).collect();
                    let absent = if *or_absent { "?" } else { "" };
                    format!("{}{absent} {operator:?} [{}{}]", key.name(), wanted.text, values.join("|"))
                }
            }
        }
        let filter = parse(text).unwrap_or_else(|error| panic!("{error}"));
        write(filter.root(), filter.conditions())
    }

    #[test]
    fn how_filters_are_read() {
        for (text, expected) in [
            ("a=1", "a Equal [1]"),
            (" a = 1 ", "a Equal [1]"),
            ("a==1", "a Equal [1]"),
            ("a=1 and b!=2 or c>3", "((a Equal [1] and b NotEqual [2]) or c Greater [3])"),
            ("a=1 or b=2 and c=3", "(a Equal [1] or (b Equal [2] and c Equal [3]))"),
            ("(a=1 or b=2) and c=3", "((a Equal [1] or b Equal [2]) and c Equal [3])"),
            ("a=1 || b=2 && c=3", "(a Equal [1] or (b Equal [2] and c Equal [3]))"),
            ("not a=1 and b=2", "(not a Equal [1] and b Equal [2])"),
            ("not (a=1 and b=2)", "not (a Equal [1] and b Equal [2])"),
            ("not not a=1", "not not a Equal [1]"),
            ("NOT a=1 AND b=2 OR c=3", "((not a Equal [1] and b Equal [2]) or c Equal [3])"),
            ("((a=1))", "a Equal [1]"),
            ("not=1 and and=2", "(not Equal [1] and and Equal [2])"),
            ("or=1 or in=2 or exists=3", "(or Equal [1] or in Equal [2] or exists Equal [3])"),
            ("a~=connection refused and b=2", "(a Contains [connection refused] and b Equal [2])"),
            ("a~=f(x) y", "a Contains [f(x) y]"),
            ("(a~=f(x) or b=2)", "(a Contains [f(x)] or b Equal [2])"),
            ("a~=f)x", "a Contains [f)x]"),
            ("a=\"1 and b=2\" and c=3", "(a Equal [1 and b=2] and c Equal [3])"),
            (r#"a="say \"hi\" \\" or b=2"#, r#"(a Equal [say "hi" \] or b Equal [2])"#),
            ("a=", "a Equal []"),
            ("a= and b=2", "(a Equal [] and b Equal [2])"),
            ("a=b=c", "a Equal [b=c]"),
            ("a=bandor xor y", "a Equal [bandor xor y]"),
            ("a~~=^x|y$ and b=2", "(a Matches [^x|y$] and b Equal [2])"),
            ("a~~=\"a (b|c)\"", "a Matches [a (b|c)]"),
            ("a in (1, two,\"three, 3\") and b=2", "(a In [1|two|three, 3] and b Equal [2])"),
            ("a in(1)", "a In [1]"),
            ("a not in (1, 2)", "not a In [1|2]"),
            ("a? not in (1)", "not a In [1]"),
            ("a? in (1)", "a? In [1]"),
            ("a? != 5 or b?=2", "(a? NotEqual [5] or b? Equal [2])"),
            ("exists(a.b) and not exists( \"c d\" )", "(a.b Exists [] and not c d Exists [])"),
            ("\"a b?\" > 5", "a b? Greater [5]"),
            ("request id=5", "request id Equal [5]"),
            ("lines[0].sku=x", "lines[0].sku Equal [x]"),
            ("level>=warn", "level GreaterOrEqual [warn]"),
            ("level in (warn, ERROR)", "level In [warn|ERROR]"),
            ("level~=R", "level Contains [R]"),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_place() {
        for (text, at, reason) in [
            ("", 0, "nothing to compare; write KEY=VALUE"),
            ("  ", 2, "nothing to compare; write KEY=VALUE"),
            ("abc", 3, "no operator; write KEY=VALUE, or one of != ~= ~~= > >= < <= in"),
            ("a!b", 1, "no operator; write KEY=VALUE, or one of != ~= ~~= > >= < <= in"),
            ("=5", 0, "nothing to compare here"),
            ("a=1 and", 7, "nothing to compare here"),
            ("a=1 or =2", 7, "nothing to compare here"),
            ("a~=black and white", 18, "goes into double quotes"),
            ("a and b=1", 0, "no operator"),
            ("a=1 b=2", 4, "`and` or `or` is missing here"),
            ("a=1 b >= 2", 4, "`and` or `or` is missing here"),
            ("level=loud", 6, "`loud` is no level; the levels are TRACE, DEBUG, INFO, WARN and ERROR"),
            ("a=1 and level in (warn, loud)", 24, "`loud` is no level"),
            ("(a=1", 0, "no `)` closes this"),
            ("not (a=1 or b=2", 4, "no `)` closes this"),
            ("(a=1)) or b=2", 5, "no `(` belongs to this"),
            ("(a=1) b=2", 6, "`and` or `or` is missing here"),
            ("a=\"x", 2, "no quote closes this"),
            ("a=\"x\"y", 5, "text follows the closing quote"),
            ("a=\"x\" y", 6, "`and` or `or` is missing here"),
            ("a in 5", 5, "a list is missing here"),
            ("a in (1, 2", 5, "no `)` closes this list"),
            ("a in (1,, 2)", 8, "a value is missing here"),
            ("a in ()", 6, "a value is missing here"),
            ("a in (\"x\" y)", 10, "`,` or `)` is missing here"),
            ("a in @/nowhere/at/all", 5, "/nowhere/at/all: "),
            ("a in @/", 5, "/: not a file"),
            ("exists(a", 0, "no `)` closes this"),
            ("exists()", 7, "the name of a field is missing here"),
            ("a~~=(", 4, "this is no regular expression"),
            ("a~~=(\\w{1000}){1000}", 4, "this regular expression is too large"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.reason().contains(reason), "{text}: {error}");
            assert_eq!(error.at(), at, "{text}: {error}");
        }
        let error = parse("größe=1 and\tx").expect_err("no operator");
        assert!(error.to_string().ends_with("\n  größe=1 and x\n               ^"), "{error}");
    }

    #[test]
    fn depth_is_bounded() {
        for (open, close) in [("(", ")"), ("not ", ""), ("not (", ")")] {
            let text = |count: usize| format!("{}a=1{}", open.repeat(count), close.repeat(count));
            assert!(parse(&text(DEPTH_MAX / 2)).is_ok(), "{open}");
            let error = parse(&text(100_000)).expect_err(open);
            assert_eq!(error.reason(), "more than 64 groups inside each other", "{open}");
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused() {
        let parts = [
            "a", "and", "or", "not", "in", "exists", "(", ")", "=", "!=", "~=", "~~=", "<", ">=", "\"", "\\", " ",
            "  ", ",", "@", "?", "5", "5ms", "level", "warn", "é", "[", "]", "*", "+", "|", "&&", "||", ".", "#", "\n",
            "'",
        ];
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let (mut good, mut bad) = (0, 0);
        for _ in 0..30_000 {
            let text: String = (0..random.usize(0..14)).map(|_| parts[random.usize(..parts.len())]).collect();
            match parse(&text) {
                Ok(filter) => {
                    good += 1;
                    assert!(!filter.conditions().is_empty(), "{text}");
                }
                Err(error) => {
                    bad += 1;
                    assert!(text.is_char_boundary(error.at()), "{text}: {error:?}");
                    assert!(!error.to_string().is_empty());
                }
            }
        }
        assert!(good > 500 && bad > 500, "{good} {bad}");
    }

    #[test]
    fn lists_in_files() {
        let path = std::env::temp_dir().join(format!("ttlog-read-list-{}", std::process::id()));
        std::fs::write(&path, "ann\r\n\n  7 \n\"a b\"\n").expect("a file");
        let filter = parse(&format!("(user in @{}) or a=1", path.display())).expect("a filter");
        let texts: Vec<_> = filter.conditions()[0].list.values().iter().map(|value| value.text.as_str()).collect();
        assert_eq!(texts, ["ann", "7", "a b"]);
        std::fs::write(&path, b"ann\n\xff\n").expect("a file");
        let error = parse(&format!("user in @{}", path.display())).expect_err("no text");
        assert!(error.reason().ends_with("not UTF-8 at offset 4"), "{error}");
        std::fs::remove_file(&path).expect("our own file");
    }
}
