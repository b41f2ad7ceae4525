//! Evaluates minijinja's trees as Ansible's Jinja does: undefined values flow until they are needed, types are kept, operators are Python's.

mod call;
mod methods;
mod ops;
mod out;
mod stmt;

pub(super) use methods::{capitalize, strftime};
pub(super) use ops::{binary, format_percent};
use out::Out;

use super::args::Args;
use super::fail::{Fail, FailKind, Lack, Res, check, is_undefined, marker};
use super::functions::GlobalFn;
use super::lazy::{Deeper, Run};
use super::objects::{Group, MutMap, MutSeq};
use super::parse::{Dialect, Origin, Parsed, Root, parse_at, range};
use super::value::ValueMap;
use super::value::{self, Type, text, truth, type_of};
use super::{filters, functions, names, tests};
use crate::source::{Kind, Node, Span, Tag, may_be_template};
use crate::vars::Variable;
use indexmap::IndexMap;
use minijinja::Value;
use minijinja::machinery::ast::{self, Expr};
use minijinja::value::Tuple;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A string of a playbook: its value, with its type if it is one expression. The value may be undefined.
pub(super) fn inline(run: &Arc<Run>, text: &str, origin: Origin) -> Res {
    inline_value(run, text, origin).map_err(|fail| fail.while_doing(|| "Error rendering template".to_owned()))
}

fn inline_value(run: &Arc<Run>, text: &str, origin: Origin) -> Res {
    let _deeper = Deeper::enter()?;
    let parsed = parse_at(text, &Dialect::Inline, &origin)?;
    let Root::Template(ast::Stmt::Template(template)) = &parsed.root else { return Ok(Value::from(text)) };
    let mut eval = Eval::new(run, Unit { parsed, origin, dialect: Dialect::Inline, raw_strings: true });
    if let [ast::Stmt::EmitExpr(emit)] = template.children.as_slice() {
        eval.in_variable = true;
        return eval.soft(&emit.expr).map(|value| with_last_newlines(value, text));
    }
    let mut out = Out::native();
    match eval.template(&template.children, &mut out) {
        Ok(()) => Ok(with_last_newlines(out.into_value(), text)),
        Err(fail) if fail.is_undefined() => Ok(marker(fail)),
        Err(fail) => Err(fail),
    }
}

/// A bare expression.
pub(super) fn expression(run: &Arc<Run>, text: &str, origin: Origin) -> Res {
    let _deeper = Deeper::enter()?;
    let parsed = parse_at(text, &Dialect::Expr, &origin)?;
    let Root::Expr(expr) = &parsed.root else { return Ok(Value::from(())) };
    let mut eval = Eval::new(run, Unit { parsed, origin, dialect: Dialect::Expr, raw_strings: false });
    eval.soft(expr).map_err(|fail| fail.while_doing(|| "Error rendering expression".to_owned()))
}

/// Jinja drops the newline at the end of a template; Ansible gives a text as many as its template has.
fn with_last_newlines(value: Value, template: &str) -> Value {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    match value.as_str() {
        Some(text) if count(template) > count(text) => Value::from(text.to_owned() + &"\n".repeat(count(template) - count(text))),
        _ => value,
    }
}

/// A template file's text.
pub(super) fn file(run: &Arc<Run>, text: &str, origin: Origin, dialect: &Dialect) -> Res<String> {
    file_into(run, text, origin, dialect, Out::text()).and_then(|value| value::text(&value))
}

/// A template file's value, which is not a text if the file is a single expression: what the lookup gives.
pub(super) fn file_value(run: &Arc<Run>, text: &str, origin: Origin, dialect: &Dialect) -> Res {
    file_into(run, text, origin, dialect, Out::native())
}

fn file_into(run: &Arc<Run>, text: &str, origin: Origin, dialect: &Dialect, mut out: Out) -> Res {
    let _deeper = Deeper::enter()?;
    let parsed = parse_at(text, dialect, &origin)?;
    let Root::Template(ast::Stmt::Template(template)) = &parsed.root else { return Ok(Value::from(text)) };
    let mut eval = Eval::new(run, Unit { parsed, origin, dialect: dialect.clone(), raw_strings: false });
    eval.template(&template.children, &mut out).map_err(|fail| fail.while_doing(|| "Error rendering template".to_owned()))?;
    Ok(with_last_newlines(out.into_value(), text))
}

type Frame = Rc<RefCell<HashMap<String, Value>>>;

/// The text that is being evaluated.
#[derive(Clone)]
struct Unit {
    parsed: &'static Parsed,
    origin: Origin,
    dialect: Dialect,
    /// Strings in `{{ }}` are taken as they are written: YAML has seen to the backslashes already.
    raw_strings: bool,
}

struct MacroDef {
    decl: &'static ast::Macro<'static>,
    frames: Vec<Frame>,
    unit: Unit,
}

struct Eval {
    run: Arc<Run>,
    unit: Unit,
    frames: Vec<Frame>,
    macros: Vec<MacroDef>,
    loops: Vec<&'static ast::Spanned<ast::ForLoop<'static>>>,
    /// Blocks by name, the one that overrides first.
    blocks: HashMap<&'static str, Vec<(&'static ast::Block<'static>, Unit)>>,
    /// The block that is being rendered, and which of its versions.
    block: Option<(&'static str, usize)>,
    in_variable: bool,
    /// Among the arguments of a lookup: texts there may be templates.
    in_lookup: bool,
}

impl Eval {
    fn new(run: &Arc<Run>, unit: Unit) -> Eval {
        Eval {
            run: run.clone(),
            unit,
            frames: vec![Frame::default()],
            macros: Vec::new(),
            loops: Vec::new(),
            blocks: HashMap::new(),
            block: None,
            in_variable: false,
            in_lookup: false,
        }
    }

    fn place(&self, span: minijinja::machinery::Span) -> Option<Span> {
        self.unit.origin.locate(range(span))
    }

    /// A value, which may be undefined.
    fn soft(&mut self, expr: &'static Expr<'static>) -> Res {
        match self.eval(expr) {
            Err(fail) if fail.is_undefined() => Ok(marker(fail)),
            other => other,
        }
    }

    /// A value that is there.
    fn firm(&mut self, expr: &'static Expr<'static>) -> Res {
        let value = self.eval(expr)?;
        check(&value)?;
        Ok(value)
    }

    fn eval(&mut self, expr: &'static Expr<'static>) -> Res {
        let _deeper = Deeper::enter()?;
        self.run.step()?;
        let result = match expr {
            Expr::Var(var) => self.variable(var.id, var.span()),
            Expr::Const(value) => self.constant(value),
            Expr::Slice(slice) => self.slice(slice),
            Expr::UnaryOp(op) => self.unary(op),
            Expr::BinOp(op) => self.binary_op(op),
            Expr::Compare(chain) => self.compare(chain),
            Expr::IfExpr(cond) => self.inline_if(cond),
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::GetAttr(attr) => self.attribute(attr),
            Expr::GetItem(item) => self.item(item),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(&list.items),
            Expr::Tuple(tuple) => self.tuple(&tuple.items),
            Expr::Map(map) => self.map(map),
        };
        match result {
            Err(fail) if !matches!(fail.kind, FailKind::Break | FailKind::Continue) && fail.places.is_empty() => {
                Err(fail.at(self.place(expr.span())))
            }
            other => other,
        }
    }

    fn find(&self, name: &str) -> Option<Value> {
        self.frames.iter().rev().find_map(|frame| frame.borrow().get(name).cloned())
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(frame) = self.frames.last() {
            frame.borrow_mut().insert(name.to_owned(), value);
        }
    }

    fn variable(&mut self, name: &'static str, span: minijinja::machinery::Span) -> Res {
        if let Some(value) = self.find(name) {
            return Ok(value);
        }
        if let Some(value) = self.run.variable(name) {
            return match check(&value) {
                Ok(()) => Ok(value),
                Err(fail) => {
                    let fail = fail.used_at(self.place(span), format!("`{name}` is used here"));
                    if fail.is_undefined() { Ok(marker(fail)) } else { Err(fail) }
                }
            };
        }
        if name == "omit" {
            return Ok(super::omit());
        }
        match functions::find(name) {
            Some(function) => Ok(Value::from_object(function)),
            None => Ok(self.run.unknown(name, self.place(span))),
        }
    }

    fn constant(&self, constant: &ast::Spanned<ast::Const>) -> Res {
        let value = &constant.value;
        // `when: name == "{{ other }}"` and `lookup('file', '{{ name }}')`: old, but Ansible still renders them.
        if (self.unit.dialect == Dialect::Expr || self.in_lookup)
            && let Some(text) = value.as_str().filter(|text| may_be_template(text))
        {
            let Some(place) = self.place(constant.span()) else { return Ok(value.clone()) };
            return inline(&self.run, text, Origin::Node(Node::string(text, place)));
        }
        if self.unit.raw_strings
            && self.in_variable
            && let Some(cooked) = value.as_str()
        {
            let written = self.unit.parsed.text.get(range(constant.span())).unwrap_or("");
            let inner = written.strip_prefix(['\'', '"']).and_then(|rest| rest.strip_suffix(['\'', '"']));
            // Neighbouring strings are joined by the parser and span more than one literal.
            if let Some(inner) = inner
                .filter(|inner| inner.contains('\\') && inner.len() >= cooked.len() && written.starts_with(&written[written.len() - 1..]))
            {
                return Ok(Value::from(inner));
            }
        }
        Ok(value.clone())
    }

    fn slice(&mut self, slice: &'static ast::Slice<'static>) -> Res {
        let of = self.firm(&slice.expr)?;
        let mut bound = |expr: &'static Option<Expr<'static>>| -> Res<Option<i128>> {
            let Some(expr) = expr else { return Ok(None) };
            let value = self.firm(expr)?;
            match (type_of(&value), value::as_int(&value)) {
                (Type::None, _) => Ok(None),
                (_, Some(number)) => Ok(Some(number)),
                _ => Err(Fail::error("slice indices must be integers or None or have an __index__ method")),
            }
        };
        let (start, stop, step) = (bound(&slice.start)?, bound(&slice.stop)?, bound(&slice.step)?);
        if !matches!(type_of(&of), Type::Str | Type::List) {
            return Err(Fail::error(format!("'{}' object cannot be sliced", value::type_name(&of))));
        }
        let picked = ops::slice(value::raw_items(&of)?, start, stop, step)?;
        if type_of(&of) == Type::Str {
            return Ok(Value::from(picked.iter().filter_map(Value::as_str).collect::<String>()));
        }
        Ok(self.new_list(picked))
    }

    fn unary(&mut self, op: &'static ast::Spanned<ast::UnaryOp<'static>>) -> Res {
        let value = self.firm(&op.expr)?;
        match op.op {
            ast::UnaryOpKind::Not => Ok(Value::from(!truth(&value)?)),
            ast::UnaryOpKind::Neg if self.unit.parsed.is_plus(op.span()) => ops::plus(value),
            ast::UnaryOpKind::Neg => ops::negate(&value),
        }
    }

    fn binary_op(&mut self, op: &'static ast::BinOp<'static>) -> Res {
        if matches!(op.op, ast::BinOpKind::In) {
            let (left, right) = (self.soft(&op.left)?, self.firm(&op.right)?);
            return value::contains(&right, &left).map(Value::from);
        }
        let left = self.firm(&op.left)?;
        match op.op {
            ast::BinOpKind::ScAnd => return if truth(&left)? { self.eval(&op.right) } else { Ok(left) },
            ast::BinOpKind::ScOr => return if truth(&left)? { Ok(left) } else { self.eval(&op.right) },
            _ => {}
        }
        let right = self.firm(&op.right)?;
        let kind = match op.op {
            ast::BinOpKind::Eq => return value::equal(&left, &right).map(Value::from),
            ast::BinOpKind::Ne => return value::equal(&left, &right).map(|same| Value::from(!same)),
            ast::BinOpKind::Lt => return value::order(&left, &right, "<").map(|order| Value::from(order.is_lt())),
            ast::BinOpKind::Lte => return value::order(&left, &right, "<=").map(|order| Value::from(order.is_le())),
            ast::BinOpKind::Gt => return value::order(&left, &right, ">").map(|order| Value::from(order.is_gt())),
            ast::BinOpKind::Gte => return value::order(&left, &right, ">=").map(|order| Value::from(order.is_ge())),
            ast::BinOpKind::Concat => return value::joined(&[text(&left)?, text(&right)?], ""),
            ast::BinOpKind::Add => "+",
            ast::BinOpKind::Sub => "-",
            ast::BinOpKind::Mul => "*",
            ast::BinOpKind::Div => "/",
            ast::BinOpKind::FloorDiv => "//",
            ast::BinOpKind::Rem => "%",
            ast::BinOpKind::Pow => "**",
            ast::BinOpKind::ScAnd | ast::BinOpKind::ScOr | ast::BinOpKind::In => return Ok(right),
        };
        binary(kind, &left, &right)
    }

    fn compare(&mut self, chain: &'static ast::Compare<'static>) -> Res {
        let mut left = self.firm(&chain.expr)?;
        for op in &chain.ops {
            let right = self.firm(&op.expr)?;
            let holds = match op.op {
                ast::CompareOpKind::Eq => value::equal(&left, &right)?,
                ast::CompareOpKind::Ne => !value::equal(&left, &right)?,
                ast::CompareOpKind::Lt => value::order(&left, &right, "<")?.is_lt(),
                ast::CompareOpKind::Lte => value::order(&left, &right, "<=")?.is_le(),
                ast::CompareOpKind::Gt => value::order(&left, &right, ">")?.is_gt(),
                ast::CompareOpKind::Gte => value::order(&left, &right, ">=")?.is_ge(),
                ast::CompareOpKind::In => value::contains(&right, &left)?,
                ast::CompareOpKind::NotIn => !value::contains(&right, &left)?,
            };
            if !holds {
                return Ok(Value::from(false));
            }
            left = right;
        }
        Ok(Value::from(true))
    }

    fn inline_if(&mut self, cond: &'static ast::IfExpr<'static>) -> Res {
        let test = self.firm(&cond.test_expr)?;
        if truth(&test)? {
            return self.eval(&cond.true_expr);
        }
        match &cond.false_expr {
            Some(expr) => self.eval(expr),
            None => Ok(marker(Fail::undefined(Lack::Nothing))),
        }
    }

    fn filter(&mut self, filter: &'static ast::Spanned<ast::Filter<'static>>) -> Res {
        let value = match &filter.expr {
            Some(expr) => self.soft(expr)?,
            None => return Err(Fail::error("a filter needs something to work on")),
        };
        self.apply_filter(filter, value)
    }

    fn apply_filter(&mut self, filter: &'static ast::Spanned<ast::Filter<'static>>, value: Value) -> Res {
        let args = self.args(&filter.args)?;
        let result = filters::apply(&self.run, filter.name, value, args);
        let result = result.map_err(|fail| self.plugin_failed(fail, filter.span(), filter.name))?;
        if self.unit.parsed.mutates && filter.name == "list" { value::to_mutable(result) } else { Ok(result) }
    }

    fn test(&mut self, test: &'static ast::Spanned<ast::Test<'static>>) -> Res {
        // These ask what a file says: to look at the value would be to render it, or to decrypt it without a password.
        let file_says = |is: fn(&Kind) -> bool| written(&self.run, &test.expr).is_some_and(|node| is(&node.kind));
        match names::compact(test.name).rsplit('.').next().unwrap_or_default() {
            "vault_encrypted" if file_says(|kind| matches!(kind, Kind::Vault(_))) => return Ok(Value::from(true)),
            "tagged_with" if file_says(|kind| matches!(kind, Kind::Str(text) if text.tag == Tag::Plain)) => {
                let mut args = self.args(&test.args)?;
                return Ok(Value::from(args.need_text("tag_name")? == "TrustedAsTemplate"));
            }
            _ => {}
        }
        let value = self.soft(&test.expr)?;
        let args = self.args(&test.args)?;
        let result = tests::perform(test.name, value, args);
        result.map(Value::from).map_err(|fail| self.plugin_failed(fail, test.span(), test.name))
    }

    /// Where a filter or test failed. What does not say so itself is that there is none of this name.
    fn plugin_failed(&self, fail: Box<Fail>, span: minijinja::machinery::Span, name: &str) -> Box<Fail> {
        if fail.is_undefined() {
            return fail;
        }
        let what = if self.unit.dialect == Dialect::Expr { "Syntax error in expression" } else { "Syntax error in template" };
        fail.while_doing(|| what.to_owned()).at(self.name_place(span, name))
    }

    /// The place of a filter's or test's name inside its expression.
    fn name_place(&self, span: minijinja::machinery::Span, name: &str) -> Option<Span> {
        let whole = range(span);
        let written = self.unit.parsed.text.get(whole.clone())?;
        match written.rfind(name) {
            Some(at) => self.unit.origin.locate(whole.start + at..whole.start + at + name.len()),
            None => self.unit.origin.locate(whole),
        }
    }

    fn attribute(&mut self, attr: &'static ast::Spanned<ast::GetAttr<'static>>) -> Res {
        let of = self.soft(&attr.expr)?;
        self.member(&of, &Value::from(attr.name), attr.span(), attr.name)
    }

    fn item(&mut self, item: &'static ast::Spanned<ast::GetItem<'static>>) -> Res {
        let of = self.soft(&item.expr)?;
        let key = self.soft(&item.subscript_expr)?;
        self.member(&of, &key, item.span(), "")
    }

    fn member(&mut self, of: &Value, key: &Value, span: minijinja::machinery::Span, name: &str) -> Res {
        if is_undefined(of) {
            return Ok(of.clone());
        }
        let found = member(of, key)?;
        let Err(fail) = check(&found) else { return Ok(found) };
        if !fail.places.is_empty() {
            let fail = fail.used_at(self.place(span), "used here".to_owned());
            return if fail.is_undefined() { Ok(marker(fail)) } else { Err(fail) };
        }
        let place = if name.is_empty() { self.place(span) } else { self.name_place(span, name) };
        if fail.is_undefined() { Ok(marker(fail.at(place))) } else { Err(fail.at(place)) }
    }

    fn args(&mut self, args: &'static [ast::CallArg<'static>]) -> Res<Args> {
        let (mut positional, mut named) = (Vec::new(), IndexMap::new());
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr) => positional.push(self.soft(expr)?),
                ast::CallArg::Kwarg(name, expr) => {
                    let value = self.soft(expr)?;
                    named.insert((*name).to_owned(), value);
                }
                ast::CallArg::PosSplat(expr) => {
                    let value = self.firm(expr)?;
                    positional.extend(value::raw_items(&value)?);
                }
                ast::CallArg::KwargSplat(expr) => {
                    let value = self.firm(expr)?;
                    for (key, value) in value::pairs(&value)? {
                        named.insert(text(&key)?, value);
                    }
                }
            }
        }
        Ok(Args::new(positional, named))
    }

    fn new_list(&self, items: Vec<Value>) -> Value {
        if self.unit.parsed.mutates { Value::from_object(MutSeq::new(items)) } else { Value::from_object(items) }
    }

    fn new_map(&self, pairs: ValueMap) -> Value {
        if self.unit.parsed.mutates { Value::from_object(MutMap::new(pairs)) } else { Value::from_object(pairs) }
    }

    fn list(&mut self, exprs: &'static [Expr<'static>]) -> Res {
        let mut items = Vec::with_capacity(exprs.len());
        for expr in exprs {
            items.push(self.soft(expr)?);
        }
        Ok(self.new_list(items))
    }

    fn tuple(&mut self, exprs: &'static [Expr<'static>]) -> Res {
        let mut items = Vec::with_capacity(exprs.len());
        for expr in exprs {
            items.push(self.soft(expr)?);
        }
        Ok(Value::from_object(Tuple::from(items)))
    }

    fn map(&mut self, map: &'static ast::Map<'static>) -> Res {
        let mut pairs = ValueMap::new();
        for (key, item) in map.keys.iter().zip(&map.values) {
            let key = self.firm(key)?;
            let item = self.soft(item)?;
            pairs.insert(key, item);
        }
        Ok(self.new_map(pairs))
    }
}

/// What a file says of `name`, `name.key` or `name[key]`, not rendered.
fn written(run: &Run, expr: &Expr<'_>) -> Option<Node> {
    let (of, key) = match expr {
        Expr::Var(var) => {
            return match run.view.get(var.id)? {
                Variable::Node(node) => Some(Node::clone(node)),
                Variable::Data(_) => None,
            };
        }
        Expr::GetAttr(attr) => (&attr.expr, Value::from(attr.name)),
        Expr::GetItem(item) => match &item.subscript_expr {
            Expr::Const(key) => (&item.expr, key.value.clone()),
            _ => return None,
        },
        _ => return None,
    };
    let of = written(run, of)?;
    match (key.as_str(), key.as_usize()) {
        (Some(name), _) => of.get(name).cloned(),
        (None, Some(n)) => of.as_seq()?.get(n).cloned(),
        (None, None) => None,
    }
}

/// `of.key` or `of[key]`: the value, or a marker that says what is not there.
pub(super) fn member(of: &Value, key: &Value) -> Res {
    if is_undefined(of) {
        return Ok(of.clone());
    }
    check(of)?;
    if is_undefined(key) {
        return Ok(key.clone());
    }
    let found = match type_of(of) {
        Type::Map => of.as_object().and_then(|object| object.get_value(key)),
        Type::List | Type::Str => match value::as_int(key) {
            Some(index) => {
                let len = of.len().unwrap_or_else(|| value::raw_items(of).map_or(0, |items| items.len())) as i128;
                let index = if index < 0 { index + len } else { index };
                usize::try_from(index).ok().and_then(|index| match of.as_str() {
                    Some(text) => text.chars().nth(index).map(|c| Value::from(c.to_string())),
                    None => of.get_item_by_index(index).ok(),
                })
            }
            // The members of a `groupby` have names.
            None => of.downcast_object_ref::<Group>().and_then(|_| of.as_object()?.get_value(key)),
        },
        _ => of.as_object().and_then(|object| object.get_value(key)),
    };
    match found {
        Some(found) if !found.is_undefined() => Ok(found),
        _ => Ok(marker(Fail::undefined(Lack::Item(value::repr(key)?, of.clone())))),
    }
}

/// A macro of this evaluation, by its number.
#[derive(Debug)]
struct MacroRef(usize);

impl minijinja::value::Object for MacroRef {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }
}

/// Whether a value can be called.
fn is_callable(value: &Value) -> bool {
    value.downcast_object_ref::<MacroRef>().is_some() || value.downcast_object_ref::<GlobalFn>().is_some()
}

/// A text whose expressions may fail: in place of one that does stands why.
pub(super) fn forgiving(run: &Arc<Run>, text: &str, origin: Origin) -> String {
    let Ok(parsed) = parse_at(text, &Dialect::Inline, &origin) else { return text.to_owned() };
    let Root::Template(ast::Stmt::Template(template)) = &parsed.root else { return text.to_owned() };
    let mut eval = Eval::new(run, Unit { parsed, origin, dialect: Dialect::Inline, raw_strings: true });
    let mut out = String::new();
    let mut errors = 0;
    for stmt in &template.children {
        let mut piece = Out::text();
        match eval.statements(std::slice::from_ref(stmt), &mut piece) {
            Ok(()) => out.push_str(&piece.text),
            Err(fail) => {
                errors += 1;
                out.push_str(&format!("<< error {errors} - {} >>", fail.words()));
            }
        }
    }
    out
}
