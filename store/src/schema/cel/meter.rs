//! The meter under every evaluation: a hostile rule or object runs out of budget, not of the machine.
//!
//! The interpreter has no limits of its own, so [`super::program`] puts calls to the functions below into every
//! rule: one for each turn of a loop and one for each value that is built or copied. When the budget is gone they
//! fail, and since nothing can loop or grow without them, what is left of the evaluation is short.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{Expr, LiteralValue};
use kube_cel::cel::common::types::{CelBytes, CelList, CelMap, CelOptional, CelString};
use kube_cel::cel::common::value::Val;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::objects::{KeyRef, OptionalValue};
use kube_cel::cel::parser::Expression;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, ResolveResult, Value as CelValue};
use regex::Regex;

use super::super::regex as go_regex;

/// What one object may cost over all of its rules. A unit is one small value touched and copied; the worst rules we
/// know take half a second of one processor for all of them.
const BUDGET: u64 = 2_000_000;
/// What running a rule costs besides what it does.
const RULE_COST: u64 = 20;
/// What a list costs besides its items.
const LIST_COST: u64 = 4;
/// What a map costs besides its members.
const MAP_COST: u64 = 16;
/// What a member of a map costs besides its value.
const MEMBER_COST: u64 = 4;
/// What compiling a regular expression costs, whatever it says.
const REGEX_COST: u64 = 20_000;
/// Regular expressions that are kept compiled, per thread.
const REGEXES_KEPT: usize = 256;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static NODE: RefCell<Bindings> = const { RefCell::new(Bindings { this: CelValue::Null, old: None }) };
    static REGEXES: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
    static FUNCTIONS: Context<'static> = functions();
}

/// What a rule is evaluated over.
#[derive(Clone)]
pub(super) struct Bindings {
    /// `self`.
    pub(super) this: CelValue,
    /// `oldSelf`.
    pub(super) old: Option<CelValue>,
}

/// Why an evaluation gave no value.
pub(super) enum Failure {
    /// The budget of the object is used up.
    OutOfBudget,
    /// What the interpreter says.
    Error(String),
}

/// Fills the meter; called once per object.
pub(super) fn refill() {
    LEFT.set(BUDGET);
}

/// Makes `bindings` what rules see, and pays for having converted them.
pub(super) fn bind(bindings: Bindings) -> Result<(), Failure> {
    let units = units(&bindings.this) + bindings.old.as_ref().map_or(0, units);
    NODE.replace(bindings);
    pay(units).map_err(|_| Failure::OutOfBudget)
}

/// Evaluates a metered expression over what was bound last.
pub(super) fn evaluate(
    expression: &Expression,
    uses_self: bool,
    uses_old: Option<CelValue>,
) -> Result<CelValue, Failure> {
    if pay(RULE_COST).is_err() {
        return Err(Failure::OutOfBudget);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        FUNCTIONS.with(|functions| {
            let mut scope = functions.new_inner_scope();
            if uses_self {
                scope.add_variable_from_value("self", NODE.with_borrow(|node| node.this.clone()));
            }
            if let Some(old) = uses_old {
                scope.add_variable_from_value("oldSelf", old);
            }
            scope.resolve(expression)
        })
    }));
    if LEFT.get() == 0 {
        // The interpreter lets `||` and `&&` swallow errors, so the meter itself is asked.
        return Err(Failure::OutOfBudget);
    }
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Error(error.to_string())),
        Err(_) => Err(Failure::Error("the rule made the evaluator panic".to_owned())),
    }
}

/// Whether a rule may call `name` (with its namespace, as `sets.contains`).
pub(super) fn is_function(name: &str) -> bool {
    use kube_cel::cel::common::ast::CallExpr;
    let call = CallExpr { func_name: name.to_owned(), target: None, args: Vec::new() };
    let probe = Expression { id: 0, expr: Expr::Call(call) };
    // There is no list to look at; calling without arguments tells "unknown" from "wrongly called".
    let answer = catch_unwind(AssertUnwindSafe(|| FUNCTIONS.with(|functions| functions.resolve(&probe))));
    !matches!(answer, Ok(Err(ExecutionError::UndeclaredReference(unknown))) if unknown.as_str() == name)
}

fn functions() -> Context<'static> {
    let mut context = Context::default().with_all();
    context
        .add_function("@self", |call: &FunctionContext<'_, '_>| NODE.with_borrow(|node| select(&node.this, call.args)));
    context.add_function("@oldSelf", |call: &FunctionContext<'_, '_>| {
        NODE.with_borrow(|node| select(node.old.as_ref().unwrap_or(&CelValue::Null), call.args))
    });
    context
        .add_function("@hasSelf", |call: &FunctionContext<'_, '_>| NODE.with_borrow(|node| has(&node.this, call.args)));
    context.add_function("@hasOldSelf", |call: &FunctionContext<'_, '_>| {
        NODE.with_borrow(|node| has(node.old.as_ref().unwrap_or(&CelValue::Null), call.args))
    });
    context.add_function("@pay", |value: CelValue| -> ResolveResult {
        pay(units(&value))?;
        Ok(value)
    });
    context.add_function("@turn", turn);
    context.add_function("@product", product);
    add_regex_functions(&mut context);
    context
}

/// Replaces the functions that would compile their expression anew at every call, without any bound.
fn add_regex_functions(context: &mut Context<'static>) {
    let text = |found: &str| CelValue::String(Arc::new(found.to_owned()));
    context.add_function("matches", |This(subject): This<Arc<String>>, pattern: Arc<String>| -> ResolveResult {
        with_regex(&pattern, subject.len(), |regex| CelValue::Bool(regex.is_match(&subject)))
    });
    context.add_function("find", move |This(subject): This<Arc<String>>, pattern: Arc<String>| -> ResolveResult {
        with_regex(&pattern, subject.len(), |regex| text(regex.find(&subject).map_or("", |found| found.as_str())))
    });
    context.add_function(
        "findAll",
        move |This(subject): This<Arc<String>>, Arguments(rest): Arguments| -> ResolveResult {
            let (pattern, limit) = match rest.as_slice() {
                [CelValue::String(pattern)] => (pattern, usize::MAX),
                // A negative limit is none, as in Go.
                [CelValue::String(pattern), CelValue::Int(limit)] => {
                    (pattern, usize::try_from(*limit).unwrap_or(usize::MAX))
                }
                _ => return Err(ExecutionError::NoSuchOverload),
            };
            with_regex(pattern, subject.len(), |regex| {
                CelValue::List(Arc::new(
                    regex.find_iter(&subject).take(limit).map(|found| text(found.as_str())).collect(),
                ))
            })
        },
    );
}

/// Takes `units` off the meter.
fn pay(units: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().saturating_sub(units);
    LEFT.set(left);
    if left == 0 { Err(ExecutionError::function_error("rule", "the cost budget is used up")) } else { Ok(()) }
}

/// One turn of a loop: pays for the accumulator and the item, which the interpreter copies.
fn turn(call: &FunctionContext<'_, '_>) -> ResolveResult {
    let mut cost = 4;
    for argument in call.args {
        cost += val_units(CelValue::resolve_val(argument, call.ptx)?.as_ref());
    }
    pay(cost)?;
    Ok(CelValue::Bool(true))
}

/// Pays ahead for a function whose result or work is as large as the product of its arguments.
fn product(call: &FunctionContext<'_, '_>) -> ResolveResult {
    let mut cost: u64 = 1;
    for argument in call.args {
        let size = match CelValue::resolve(argument, call.ptx)? {
            CelValue::Int(count) => count.unsigned_abs(),
            CelValue::String(text) => text.len() as u64,
            other => units(&other),
        };
        cost = cost.saturating_mul(size.max(1));
    }
    pay(cost / 16)?;
    Ok(CelValue::Bool(true))
}

fn with_regex(pattern: &str, text: usize, then: impl FnOnce(&Regex) -> CelValue) -> ResolveResult {
    pay(text as u64 / 16 + 1)?;
    REGEXES.with_borrow_mut(|known| {
        if !known.contains_key(pattern) {
            pay(REGEX_COST)?;
            let compiled = go_regex::compile(pattern)
                .map_err(|error| ExecutionError::function_error("matches", format!("{pattern:?}: {error}")))?;
            if known.len() >= REGEXES_KEPT {
                known.clear();
            }
            known.insert(pattern.to_owned(), compiled);
        }
        known.get(pattern).map(then).ok_or_else(|| ExecutionError::function_error("matches", "not compiled"))
    })
}

fn names(arguments: &[Expression]) -> impl Iterator<Item = &str> {
    arguments.iter().filter_map(|argument| match &argument.expr {
        Expr::Literal(LiteralValue::String(name)) => Some(name.inner()),
        _ => None,
    })
}

fn select(value: &CelValue, path: &[Expression]) -> ResolveResult {
    let mut at = value;
    for name in names(path) {
        let CelValue::Map(map) = at else { return Err(ExecutionError::NoSuchOverload) };
        at = map.get(&KeyRef::String(name)).ok_or_else(|| ExecutionError::no_such_key(name))?;
    }
    pay(units(at))?;
    Ok(at.clone())
}

fn has(value: &CelValue, path: &[Expression]) -> ResolveResult {
    let mut at = Some(value);
    for name in names(path) {
        let Some(here) = at else { return Err(ExecutionError::no_such_key(name)) };
        let CelValue::Map(map) = here else { return Err(ExecutionError::NoSuchOverload) };
        at = map.get(&KeyRef::String(name));
    }
    Ok(CelValue::Bool(at.is_some()))
}

/// Measures a value: one unit for each scalar and for each sixteen bytes of text, more for what has to be allocated.
fn units(value: &CelValue) -> u64 {
    match value {
        CelValue::String(text) => 1 + text.len() as u64 / 16,
        CelValue::Bytes(bytes) => 1 + bytes.len() as u64 / 16,
        CelValue::List(items) => LIST_COST + items.iter().map(units).sum::<u64>(),
        CelValue::Map(map) => MAP_COST + map.map.values().map(|member| MEMBER_COST + units(member)).sum::<u64>(),
        CelValue::Opaque(_) => match <&OptionalValue>::try_from(value) {
            Ok(optional) => 1 + optional.value().map_or(0, units),
            Err(_) => 8,
        },
        _ => 1,
    }
}

/// Measures a value of the interpreter without converting it.
fn val_units(value: &dyn Val) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString>() {
        1 + text.inner().len() as u64 / 16
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        LIST_COST + list.inner().iter().map(|item| val_units(item.as_ref())).sum::<u64>()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        MAP_COST + map.inner().values().map(|member| MEMBER_COST + val_units(member.as_ref())).sum::<u64>()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        1 + bytes.inner().len() as u64 / 16
    } else if let Some(optional) = value.downcast_ref::<CelOptional>() {
        1 + optional.inner().map_or(0, val_units)
    } else {
        1
    }
}
