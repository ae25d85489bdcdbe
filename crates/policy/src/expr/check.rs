//! What can be said of an expression before it meets data: syntax, names, functions, loops, and a constant result.

use super::{Names, Purpose, functions};
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cel::common::ast::{EntryExpr, Expr as Node, IdedExpr, LiteralValue, operators};

/// Longest expression, in bytes.
pub const SOURCE_MAX: usize = 4096;
/// The library's parser recurses; it is not asked about anything deeper.
const DEPTH_MAX: usize = 50;
/// Loops inside loops; a `found` is one.
const LOOPS_MAX: u8 = 2;

/// Something wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as (line, column) inside the source, both from 1.
    pub at: Option<(usize, usize)>,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    fn new(at: Option<(usize, usize)>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(super) fn compile(env: &cel::Env, source: &str) -> Result<cel::Program, Vec<Fault>> {
    if source.trim().is_empty() {
        return Err(Vec::from([Fault::new(None, "the expression is empty")]));
    }
    if source.len() > SOURCE_MAX {
        let fault =
            Fault::new(None, format!("the expression has {} bytes, at most {SOURCE_MAX} are allowed", source.len()));
        return Err(Vec::from([fault]));
    }
    if let Some(at) = too_deep(source) {
        return Err(Vec::from([Fault::new(Some(at), format!("brackets are nested more than {DEPTH_MAX} deep"))]));
    }
    env.compile(source).map_err(|errors| {
        let mut faults = errors.errors.iter().map(syntax).collect::<Vec<_>>();
        faults.truncate(3);
        faults
    })
}

/// The library's own words, shortened: `Syntax error: mismatched input '<EOF>' expecting {'[', '{', …}` lists tokens
/// for half a screen.
fn syntax(error: &cel::ParseError) -> Fault {
    let line = usize::try_from(error.pos.0).ok().filter(|line| *line > 0);
    let column = usize::try_from(error.pos.1).unwrap_or(0).max(1);
    if error.msg.contains("'<EOF>'") {
        return Fault::new(line.map(|line| (line, column)), "CEL: the expression is not finished");
    }
    let message = error.msg.split(" expecting ").next().unwrap_or_default().trim();
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    Fault::new(line.map(|line| (line, column)), format!("CEL: {message}"))
}

/// Where brackets get deeper than the parser is asked to go. Strings may hold brackets too: counting those errs on the
/// safe side, and nobody writes fifty.
fn too_deep(source: &str) -> Option<(usize, usize)> {
    let (mut depth, mut line, mut column) = (0_usize, 1, 0);
    // A run of unary operators recurses as brackets do.
    let mut unary = 0_usize;
    for character in source.chars() {
        column += 1;
        unary = if matches!(character, '!' | '-') { unary + 1 } else { 0 };
        match character {
            '\n' => (line, column) = (line + 1, 0),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX || unary > DEPTH_MAX {
            return Some((line, column));
        }
    }
    None
}

pub(super) fn member_names(program: &cel::Program) -> Option<Vec<String>> {
    let Node::Map(map) = &program.expression().expr else { return None };
    let name = |entry: &cel::common::ast::IdedEntryExpr| match &entry.expr {
        EntryExpr::MapEntry(entry) => match &entry.key.expr {
            Node::Literal(LiteralValue::String(name)) => Some(name.inner().into()),
            _ => None,
        },
        EntryExpr::StructField(_) => None,
    };
    map.entries.iter().map(name).collect()
}

pub(super) fn inspect(program: &cel::Program, source: &str, purpose: Purpose) -> Result<(Names, u8), Vec<Fault>> {
    let mut walk =
        Walk { program, source, purpose, names: Names::default(), local: Vec::new(), loops: 0, faults: Vec::new() };
    walk.node(program.expression(), 0);
    walk.constant(program.expression());
    if walk.faults.is_empty() { Ok((walk.names, walk.loops)) } else { Err(walk.faults) }
}

struct Walk<'a> {
    program: &'a cel::Program,
    source: &'a str,
    purpose: Purpose,
    names: Names,
    local: Vec<&'a str>,
    loops: u8,
    faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: &'a IdedExpr, loops: u8) {
        match &node.expr {
            Node::Unspecified | Node::Literal(_) => {}
            Node::Ident(name) => self.ident(name, node.id),
            Node::Select(select) => self.node(&select.operand, loops),
            Node::List(list) => list.elements.iter().for_each(|element| self.node(element, loops)),
            Node::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, loops)),
            Node::Struct(object) => object.entries.iter().for_each(|entry| self.entry(&entry.expr, loops)),
            Node::Call(call) => self.call(call, node.id, loops),
            Node::Comprehension(comprehension) => {
                self.node(&comprehension.iter_range, loops);
                let inner = self.deeper(loops, node.id);
                let depth = self.local.len();
                self.local.push(&comprehension.iter_var);
                self.local.extend(comprehension.iter_var2.as_deref());
                self.local.push(&comprehension.accu_var);
                for part in [
                    &comprehension.accu_init,
                    &comprehension.loop_cond,
                    &comprehension.loop_step,
                    &comprehension.result,
                ] {
                    self.node(part, inner);
                }
                self.local.truncate(depth);
            }
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr, loops: u8) {
        match entry {
            EntryExpr::StructField(field) => self.node(&field.value, loops),
            EntryExpr::MapEntry(entry) => {
                self.node(&entry.key, loops);
                self.node(&entry.value, loops);
            }
        }
    }

    fn call(&mut self, call: &'a cel::common::ast::CallExpr, id: u64, loops: u8) {
        let loops = if call.func_name == "found" { self.deeper(loops, id) } else { loops };
        let qualified =
            matches!(call.target.as_deref(), Some(IdedExpr { expr: Node::Ident(name), .. }) if name == "optional");
        if let Some(target) = call.target.as_deref().filter(|_| !qualified) {
            self.node(target, loops);
        }
        call.args.iter().for_each(|argument| self.node(argument, loops));
        let name = call.func_name.as_str();
        if name.contains(['_', '@', '!']) || STANDARD.contains(&name) {
            return;
        }
        let own = functions::OWN.iter().find(|own| own.name == name);
        match own {
            None => {
                let known = STANDARD.iter().copied().chain(functions::OWN.iter().map(|own| own.name));
                let mut fault = Fault::new(self.place(id, name), format!("there is no function `{name}`"));
                fault.hint = words::did_you_mean(name, known);
                self.faults.push(fault);
            }
            Some(own) if call.args.len() != own.arguments || call.target.is_some() => {
                let fault = Fault::new(self.place(id, name), format!("`{name}` takes {} argument(s)", own.arguments));
                self.faults.push(fault.hint(format!("write {}", own.form)));
            }
            Some(_) => {}
        }
    }

    fn deeper(&mut self, loops: u8, id: u64) -> u8 {
        let loops = loops + 1;
        if loops == LOOPS_MAX + 1 {
            let message = format!("loops are nested more than {LOOPS_MAX} deep (`found` is a loop too)");
            self.faults.push(Fault::new(self.place(id, ""), message));
        }
        self.loops = self.loops.max(loops);
        loops
    }

    fn ident(&mut self, name: &str, id: u64) {
        if name.starts_with('@') || self.local.contains(&name) || TYPES.contains(&name) {
            return;
        }
        let allowed = self.purpose.names();
        if !allowed.contains(&name) {
            let known_elsewhere = Purpose::Judge.names().contains(&name);
            let message = if known_elsewhere {
                format!("`{name}` is not known yet where this is evaluated")
            } else {
                format!("there is no variable `{name}`")
            };
            let mut fault = Fault::new(self.place(id, name), message);
            fault.hint = words::did_you_mean(name, allowed.iter().copied())
                .or_else(|| Some(format!("known here: {}", allowed.join(", "))));
            self.faults.push(fault);
            return;
        }
        match name {
            "args" => self.names.args = true,
            "result" => self.names.result = true,
            "pre" => self.names.pre = true,
            "read" => self.names.read = true,
            _ => self.names.step = true,
        }
    }

    /// A judgement has to be able to say yes and no, and arguments have to be an object.
    fn constant(&mut self, root: &IdedExpr) {
        let found = match &root.expr {
            Node::Literal(LiteralValue::Boolean(_)) => "a constant truth value",
            Node::Literal(LiteralValue::String(_)) => "a text",
            Node::Literal(LiteralValue::Null) => "null",
            Node::Literal(LiteralValue::Bytes(_)) => "bytes",
            Node::Literal(_) => "a number",
            Node::List(_) => "a list",
            Node::Map(_) | Node::Struct(_) => "an object",
            Node::Call(call) if BOOLEAN.contains(&call.func_name.as_str()) => "a truth value",
            Node::Call(call) if ARITHMETIC.contains(&call.func_name.as_str()) => "a number or text",
            Node::Call(call) if call.func_name == "found" || call.func_name == "size" => "a number",
            _ => return,
        };
        let at = None;
        let fault = match self.purpose {
            Purpose::Judge | Purpose::When if found == "a constant truth value" => {
                Fault::new(at, "this is constant, so it decides nothing")
            }
            Purpose::Judge | Purpose::When if found != "a truth value" => {
                Fault::new(at, format!("this is {found}, but must be true or false"))
                    .hint("compare it: `… == …` or `… >= 1`")
            }
            Purpose::ReadArgs | Purpose::UndoArgs if found != "an object" => {
                Fault::new(at, format!("this is {found}, but the arguments of a tool are an object"))
                    .hint("write '{\"name\": args.name}'")
            }
            Purpose::Target if found == "a truth value" || found == "a constant truth value" => {
                Fault::new(at, "this is a truth value, but a target is named by a text or number")
            }
            _ => return,
        };
        self.faults.push(fault);
    }

    /// The place of a node; where the library notes the operator instead, the first place where the name stands.
    fn place(&self, id: u64, name: &str) -> Option<(usize, usize)> {
        let noted = self.program.source_info().offset_for(id).and_then(|(start, _)| usize::try_from(start).ok());
        let offset = match noted {
            Some(offset) if name.is_empty() || self.source.get(offset..).is_some_and(|rest| rest.starts_with(name)) => {
                offset
            }
            _ if name.is_empty() => return None,
            _ => self.source.find(name)?,
        };
        let before = self.source.get(..offset)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((line, column))
    }
}

impl Purpose {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::When | Self::Target => &["args"],
            Self::ReadArgs => &["args", "result", "step"],
            Self::UndoArgs => &["args", "result", "pre", "step"],
            Self::Judge => &["args", "result", "pre", "read", "step"],
        }
    }
}

const STANDARD: [&str; 39] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bytes",
    "bool",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "max",
    "min",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "of",
    "none",
    "ofNonZeroValue",
    "hasValue",
    "value",
    "or",
    "orValue",
    "optMap",
    "optFlatMap",
    "getFullYear",
    "getMonth",
    "getDayOfMonth",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "list", "map", "null_type", "string", "timestamp"];
const BOOLEAN: [&str; 20] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::IN,
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "hasValue",
    "bool",
    "same",
    "same_count",
    "complete",
    "gone",
];
const ARITHMETIC: [&str; 6] = [
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];
