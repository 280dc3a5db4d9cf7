//! A rule's expression: parsed, checked against the schema, and rewritten so that it is metered.

use std::collections::BTreeSet;

use api_types::schema::{Schema, SchemaType};
use kube_cel::cel::Program;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators,
};
use kube_cel::cel::parser::Expression;

use super::convert::escape;
use super::meter;

/// Longest expression, in bytes. Parsing time grows with it.
pub(super) const LONGEST: usize = 8 * 1024;
/// Deepest expression; evaluation recurses along it and needs up to 5 KiB of stack per level.
const DEEPEST: usize = 64;

/// An expression that is safe to evaluate.
#[derive(Debug)]
pub(super) struct Metered {
    /// What the interpreter runs.
    pub(super) expression: Expression,
    /// Whether `self` is needed as a whole, not only through fields.
    pub(super) uses_self: bool,
    /// Whether `oldSelf` is mentioned at all.
    pub(super) mentions_old: bool,
    /// Whether `oldSelf` is needed as a whole.
    pub(super) uses_old: bool,
    /// The members of `self` and `oldSelf` that are read, by their escaped names.
    pub(super) members: BTreeSet<String>,
}

/// Parses, checks and rewrites `source`, which stands at `schema`.
///
/// # Errors
/// Says why the expression cannot be used.
pub(super) fn compile(source: &str, schema: &Schema, is_root: bool, optional_old: bool) -> Result<Metered, String> {
    if nests_deeper_than(source, DEEPEST) {
        // Parsing takes time that grows with the square of this.
        return Err(format!("the expression nests more than {DEEPEST} deep"));
    }
    let parsed = std::panic::catch_unwind(|| Program::compile(source));
    let program = match parsed {
        Ok(Ok(program)) => program,
        Ok(Err(error)) => return Err(error.to_string().trim().to_owned()),
        Err(_) => return Err("the expression cannot be parsed".to_owned()),
    };
    let mut rewriter = Rewriter {
        schema,
        is_root,
        optional_old,
        bound: Vec::new(),
        uses_self: false,
        mentions_old: false,
        uses_old: false,
        members: BTreeSet::new(),
    };
    let expression = rewriter.expression(program.expression(), 0)?;
    Ok(Metered {
        expression,
        uses_self: rewriter.uses_self,
        mentions_old: rewriter.mentions_old,
        uses_old: rewriter.uses_old,
        members: rewriter.members,
    })
}

/// Counts brackets, also those in texts: good enough to refuse what no person writes.
fn nests_deeper_than(source: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    source.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > limit
    })
}

struct Rewriter<'schema> {
    schema: &'schema Schema,
    is_root: bool,
    optional_old: bool,
    /// Variables of the loops around.
    bound: Vec<String>,
    uses_self: bool,
    mentions_old: bool,
    uses_old: bool,
    members: BTreeSet<String>,
}

impl Rewriter<'_> {
    fn expression(&mut self, expression: &Expression, depth: usize) -> Result<Expression, String> {
        if depth > DEEPEST {
            return Err(format!("the expression nests more than {DEEPEST} deep"));
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Literal(_) => Ok(expression.clone()),
            Expr::Ident(name) => {
                self.variable(name)?;
                Ok(expression.clone())
            }
            Expr::Select(select) => self.select(select, depth),
            Expr::Call(call) => self.call(call, depth),
            Expr::List(list) => {
                let elements = self.all(&list.elements, depth)?;
                let list = ListExpr::new_with_optionals(elements, list.optional_indices.clone());
                Ok(pay(wrap(Expr::List(list))))
            }
            Expr::Map(map) => {
                let mut map = map.clone();
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else {
                        return Err("messages are not supported".to_owned());
                    };
                    entry.key = self.value(&entry.key, depth)?;
                    entry.value = self.value(&entry.value, depth)?;
                }
                Ok(pay(wrap(Expr::Map(map))))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(message) => Err(format!("undeclared reference to '{}'", message.type_name)),
            Expr::Unspecified => Err("the expression is empty".to_owned()),
        }
    }

    fn all(&mut self, expressions: &[Expression], depth: usize) -> Result<Vec<Expression>, String> {
        expressions.iter().map(|expression| self.value(expression, depth)).collect()
    }

    /// Rewrites an expression whose value is copied: a bare variable is paid for, the rest pays for itself.
    fn value(&mut self, expression: &Expression, depth: usize) -> Result<Expression, String> {
        let rewritten = self.expression(expression, depth)?;
        let is_variable = matches!(&rewritten.expr, Expr::Ident(name) if !name.starts_with('@'));
        Ok(if is_variable { pay(rewritten) } else { rewritten })
    }

    fn variable(&mut self, name: &str) -> Result<(), String> {
        if name.starts_with('@') || self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        match name {
            "self" => self.uses_self = true,
            "oldSelf" => {
                self.mentions_old = true;
                self.uses_old = true;
            }
            unknown => return Err(format!("undeclared reference to '{unknown}' (in container '')")),
        }
        Ok(())
    }

    fn select(&mut self, select: &SelectExpr, depth: usize) -> Result<Expression, String> {
        if let Some((root, path)) = self.field_path(select) {
            self.declared(&path)?;
            self.mentions_old |= root == "oldSelf";
            self.members.extend(path.first().map(|&name| name.to_owned()));
            let function = match (root, select.test) {
                ("self", false) => "@self",
                ("self", true) => "@hasSelf",
                (_, false) => "@oldSelf",
                (_, true) => "@hasOldSelf",
            };
            let literal = |name: &&str| wrap(Expr::Literal(LiteralValue::String((*name).into())));
            return Ok(call(function, path.iter().map(literal).collect()));
        }
        let operand = self.expression(&select.operand, depth)?;
        let rewritten = wrap(Expr::Select(SelectExpr {
            operand: Box::new(operand),
            field: select.field.clone(),
            test: select.test,
        }));
        Ok(if select.test { rewritten } else { pay(rewritten) })
    }

    /// Recognises `self.a.b`: reading it off the object spares copying everything on the way.
    fn field_path<'a>(&self, select: &'a SelectExpr) -> Option<(&'a str, Vec<&'a str>)> {
        let mut path = vec![select.field.as_str()];
        let mut operand = &select.operand;
        loop {
            match &operand.expr {
                Expr::Select(inner) if !inner.test => {
                    path.push(&inner.field);
                    operand = &inner.operand;
                }
                Expr::Ident(root) => {
                    let is_object = root == "self" || (root == "oldSelf" && !self.optional_old);
                    path.reverse();
                    return (is_object && !self.bound.contains(root)).then_some((root.as_str(), path));
                }
                _ => return None,
            }
        }
    }

    /// Checks that the schema declares the fields of a path.
    fn declared(&self, path: &[&str]) -> Result<(), String> {
        let mut at = self.schema;
        for (index, name) in path.iter().enumerate() {
            let is_object = at.embedded_resource || (index == 0 && self.is_root);
            if is_object && matches!(*name, "apiVersion" | "kind") {
                return Ok(());
            }
            if is_object && *name == "metadata" {
                return match path.get(index + 1) {
                    None | Some(&("name" | "generateName")) => Ok(()),
                    Some(unknown) => Err(format!("undefined field '{unknown}'")),
                };
            }
            let is_open = at.additional_properties.is_some()
                || at.preserve_unknown_fields == Some(true)
                || at.type_.is_none()
                || at.nullable;
            match at.properties.iter().find(|(known, _)| escape(known) == *name) {
                Some((_, member)) => at = member,
                None if is_open => return Ok(()),
                None if at.type_ == Some(SchemaType::Object) => return Err(format!("undefined field '{name}'")),
                None => return Err(format!("type does not support field selection of '{name}'")),
            }
        }
        Ok(())
    }

    fn call(&mut self, original: &CallExpr, depth: usize) -> Result<Expression, String> {
        let name = original.func_name.as_str();
        if name.starts_with(['_', '@', '!', '-']) {
            return self.operator(original, depth);
        }
        if let Some(Expr::Ident(namespace)) = original.target.as_ref().map(|target| &target.expr)
            && !self.bound.contains(namespace)
            && !matches!(namespace.as_str(), "self" | "oldSelf")
        {
            let qualified = format!("{namespace}.{name}");
            if !meter::is_function(&qualified) {
                return Err(format!("undeclared reference to '{qualified}' (in container '')"));
            }
            let args = self.all(&original.args, depth)?;
            let called = CallExpr { func_name: name.to_owned(), target: original.target.clone(), args: args.clone() };
            return Ok(paid_ahead(&qualified, args, wrap(Expr::Call(called))));
        }
        if !meter::is_function(name) {
            return Err(format!("undeclared reference to '{name}' (in container '')"));
        }
        let target = original.target.as_ref().map(|target| self.value(target, depth)).transpose()?;
        let args = self.all(&original.args, depth)?;
        let measured = target.iter().chain(&args).cloned().collect();
        let called = CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args };
        Ok(paid_ahead(name, measured, wrap(Expr::Call(called))))
    }

    fn operator(&mut self, original: &CallExpr, depth: usize) -> Result<Expression, String> {
        let name = original.func_name.as_str();
        let borrows_first = matches!(name, operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT);
        let mut args = Vec::with_capacity(original.args.len());
        for (index, argument) in original.args.iter().enumerate() {
            let borrowed = index == 0 && borrows_first;
            args.push(if borrowed { self.expression(argument, depth)? } else { self.value(argument, depth)? });
        }
        // The accumulator of a loop is paid for by the loop.
        let grows_accumulator = matches!(&original.args.first().map(|first| &first.expr),
            Some(Expr::Ident(variable)) if variable.starts_with('@'));
        let copies = borrows_first || (name == operators::ADD && !grows_accumulator);
        let called = call(name, args);
        Ok(if copies { pay(called) } else { called })
    }

    fn comprehension(&mut self, original: &ComprehensionExpr, depth: usize) -> Result<Expression, String> {
        let iter_range = self.expression(&original.iter_range, depth)?;
        self.bound.push(original.iter_var.clone());
        let step = self.expression(&original.loop_step, depth);
        let condition = self.expression(&original.loop_cond, depth);
        let result = self.expression(&original.result, depth);
        self.bound.pop();
        let ident = |name: &String| wrap(Expr::Ident(name.clone()));
        let turn = call("@turn", vec![ident(&original.accu_var), ident(&original.iter_var)]);
        let never = wrap(Expr::Literal(LiteralValue::Boolean(false.into())));
        let metered = ComprehensionExpr {
            iter_range,
            loop_cond: condition?,
            loop_step: call(operators::CONDITIONAL, vec![turn, step?, never]),
            result: result?,
            ..original.clone()
        };
        Ok(wrap(Expr::Comprehension(Box::new(metered))))
    }
}

/// Functions whose work is the product of what they are given.
const PRODUCTS: &[&str] = &[
    "replace",
    "join",
    "distinct",
    "indexOf",
    "lastIndexOf",
    "lists.range",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "find",
    "findAll",
    "split",
    "format",
];

fn paid_ahead(function: &str, mut measured: Vec<Expression>, called: Expression) -> Expression {
    let paid = pay(called);
    if !PRODUCTS.contains(&function) {
        return paid;
    }
    if function == "distinct" {
        measured.extend(measured.clone());
    }
    let never = wrap(Expr::Literal(LiteralValue::Boolean(false.into())));
    call(operators::CONDITIONAL, vec![call("@product", measured), paid, never])
}

fn pay(expression: Expression) -> Expression {
    call("@pay", vec![expression])
}

fn call(function: &str, args: Vec<Expression>) -> Expression {
    wrap(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

fn wrap(expr: Expr) -> Expression {
    Expression { id: 0, expr }
}
