//! Expressions: CEL, compiled and checked at load, evaluated with every doubt counted as *no clear answer*.
//!
//! JSON integers are bound as `int`; the library would make positive ones `uint`, on which `+ 1` is an error. What the
//! upstream sent is hostile, so the values bound are bounded in size for the loops that the expression holds.

mod check;
mod functions;
mod judge;
mod value;
mod view;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use serde_json::Value;

pub use check::Fault;
#[cfg(test)]
pub(crate) use functions::OWN;
pub use view::view;

/// What an expression may speak of. What is not there makes the expressions that need it inconclusive.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The arguments of the call.
    pub args: &'a Value,
    /// What the call answered, as [`view()`] shows it.
    pub result: Option<&'a Value>,
    /// What the read showed before the call.
    pub pre: Option<&'a Value>,
    /// What the read shows now.
    pub read: Option<&'a Value>,
    /// The idempotency key that was sent upstream, bound as `step.key`.
    pub key: Option<&'a str>,
}

impl<'a> Scope<'a> {
    pub const fn of_args(args: &'a Value) -> Self {
        Self { args, result: None, pre: None, read: None, key: None }
    }
}

/// Names that an expression may use, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `when`: only what the call says, true or false.
    When,
    /// `target`: only what the call says, a text or number.
    Target,
    /// `args` of a read.
    ReadArgs,
    /// `args` of a compensation.
    UndoArgs,
    /// `expect` and `absent` of a read.
    Judge,
}

/// One compiled expression. Cloning it copies pointers.
#[derive(Clone)]
pub struct Expr {
    program: Arc<cel::Program>,
    env: Arc<cel::Env>,
    source: Arc<str>,
    names: Names,
    /// How deeply comprehensions are nested; bounds what may be bound.
    loops: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag per name that an expression can mention")]
struct Names {
    args: bool,
    result: bool,
    pre: bool,
    read: bool,
    step: bool,
}

impl Expr {
    /// Compiles `source` and checks it for `purpose`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place inside the source.
    pub fn compile(source: &str, purpose: Purpose) -> Result<Self, Vec<Fault>> {
        Self::compile_in(&Arc::new(cel::Env::stdlib()), source, purpose)
    }

    /// As [`Expr::compile`], with an environment that many expressions share.
    pub(crate) fn compile_in(env: &Arc<cel::Env>, source: &str, purpose: Purpose) -> Result<Self, Vec<Fault>> {
        let program = check::compile(env, source)?;
        let (names, loops) = check::inspect(&program, source, purpose)?;
        Ok(Self { program: Arc::new(program), env: Arc::clone(env), source: source.into(), names, loops })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub const fn mentions_result(&self) -> bool {
        self.names.result
    }

    pub const fn mentions_pre(&self) -> bool {
        self.names.pre
    }

    pub const fn mentions_key(&self) -> bool {
        self.names.step
    }

    /// The names of the members of an object that is written out; `None` for anything that makes its names otherwise.
    pub(crate) fn member_names(&self) -> Option<Vec<String>> {
        check::member_names(&self.program)
    }

    /// Does it say itself what an error of the read means?
    fn mentions_errors(&self) -> bool {
        self.source.contains("isError") || self.source.contains("gone(")
    }

    /// Evaluates to JSON.
    ///
    /// # Errors
    /// Why there is no value, in words that hold nothing of the values involved.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let value = self.run(scope)?;
        value::to_json(&value)
    }

    /// Evaluates to a truth value; anything else is an error.
    ///
    /// # Errors
    /// As [`Expr::value`].
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.run(scope)? {
            cel::Value::Bool(value) => Ok(value),
            other => Err(alloc::format!("the expression gave {}, not true or false", value::kind(&other))),
        }
    }

    fn run(&self, scope: &Scope<'_>) -> Result<cel::Value, String> {
        let mut context = cel::Context::with_env(Arc::clone(&self.env));
        functions::add_to(&mut context);
        let bound = [
            ("args", self.names.args, Some(scope.args)),
            ("result", self.names.result, scope.result),
            ("pre", self.names.pre, scope.pre),
            ("read", self.names.read, scope.read),
        ];
        for (name, used, value) in bound {
            if !used {
                continue;
            }
            let value = value.ok_or_else(|| alloc::format!("`{name}` is not known"))?;
            value::check_size(value, self.loops).map_err(|why| alloc::format!("`{name}` is {why}"))?;
            context.add_variable_from_value(name, value::to_cel(value));
        }
        if self.names.step {
            let key = scope.key.ok_or("`step.key` is not known")?;
            context.add_variable_from_value("step", value::step(key));
        }
        self.program.execute(&context).map_err(|error| functions::explain(&error))
    }
}

/// Shows the source: that is what an operator wrote, and all that tells two expressions apart.
impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

/// The text of a scalar, for keys and lanes: a string as it is, anything else as JSON.
pub(crate) fn plain_text(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_str().to_owned().into_boxed_str()),
        other => serde_json::to_string(other).ok().map(String::into_boxed_str),
    }
}

#[cfg(test)]
mod tests;
