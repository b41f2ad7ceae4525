//! Conditionals: expressions whose result must be a boolean.

use super::eval;
use super::fail::{Fail, Res, check};
use super::lazy::Run;
use super::parse::{Dialect, Origin, Root, parse};
use super::value::{Type, type_name, type_of};
use crate::source::{Kind, Node, Span, Tag};
use crate::vars::{Variable, View};
use minijinja::Value;
use minijinja::machinery::ast::{Expr, Stmt};
use std::sync::Arc;

pub(super) fn holds(run: &Arc<Run>, node: &Node) -> Res<bool> {
    match &node.kind {
        Kind::Null => Ok(true),
        Kind::Bool(value) => Ok(*value),
        Kind::Seq(all) => {
            for one in all {
                if !holds(run, one)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Kind::Str(text) if text.text.trim().is_empty() => {
            Err(Fail::error("Empty conditional expressions are not allowed.").at(Some(node.span.clone())))
        }
        Kind::Str(text) => {
            let whole_template = text.tag == Tag::Plain && node.is_template() && is_enclosed(&text.text);
            let result = match whole_template {
                true => indirect(run, node, whole_expression(&text.text)),
                false => eval::expression(run, &text.text, Origin::Node(node.clone())),
            };
            let holds = result.and_then(|result| strictly_boolean(&result, || origin(run, node, &text.text)));
            holds.map_err(|fail| fail.evaluating("Error while evaluating conditional").at(Some(node.span.clone())))
        }
        Kind::Int(_) | Kind::Float(_) | Kind::Map(_) | Kind::Vault(_) => {
            Err(Fail::error("Conditional expressions must be strings.").at(Some(node.span.clone())))
        }
    }
}

pub(super) fn written(node: &Node, view: &View) -> Option<Arc<Node>> {
    let text = node.as_str().filter(|_| node.is_template())?;
    let Expr::Var(var) = whole_expression(text)? else { return None };
    match view.get(var.id)? {
        Variable::Node(node) => Some(node.clone()),
        Variable::Data(_) => None,
    }
}

/// Whether a text begins and ends with a tag: then it is a template that makes the condition.
fn is_enclosed(text: &str) -> bool {
    let text = text.trim();
    (text.starts_with("{{") || text.starts_with("{%")) && (text.ends_with("}}") || text.ends_with("%}"))
}

/// The expression of a text that is exactly one `{{ expression }}`.
fn whole_expression(text: &str) -> Option<&'static Expr<'static>> {
    let parsed = parse(text.trim(), &Dialect::Inline).ok()?;
    match &parsed.root {
        Root::Template(Stmt::Template(template)) => match template.children.as_slice() {
            [Stmt::EmitExpr(emit)] => Some(&emit.expr),
            _ => None,
        },
        _ => None,
    }
}

/// `"{{ variable }}"`: its value if that is a boolean; a text is an expression in its turn. Only a text that somebody wrote into a file may be one:
/// to evaluate what a host printed would let the host run code here.
fn indirect(run: &Arc<Run>, node: &Node, expr: Option<&'static Expr<'static>>) -> Res {
    let text = node.as_str().unwrap_or("");
    let value = eval::inline(run, text.trim(), Origin::Node(node.clone()))?;
    check(&value)?;
    let Some(inner) = value.as_str() else { return Ok(value) };
    if !expr.is_some_and(|expr| is_written(run, expr)) {
        return Err(Fail::complete("Encountered untrusted template or expression.")
        .at(Some(node.span.clone()))
        .hint(format!(
            "the text '{inner}' is not from a file and so is not evaluated: write the expression itself, without `{{{{ }}}}`; `| bool` turns a text \
             such as 'yes' into a boolean"
        )));
    }
    eval::expression(run, inner, Origin::Node(Node::string(inner, node.span.clone())))
}

/// Whether the text that an expression names stands in a file as it is: as the value of a variable, or of one that this only names.
fn is_written(run: &Arc<Run>, expr: &'static Expr<'static>) -> bool {
    written_node(run, expr).is_some_and(|node| is_from_file(run, &node))
}

pub(super) fn is_from_file(run: &Arc<Run>, node: &Node) -> bool {
    if !node.is_template() {
        return !matches!(&node.kind, Kind::Str(text) if text.tag != Tag::Plain);
    }
    // A variable that goes in circles has been refused by its evaluation.
    node.as_str().and_then(whole_expression).is_some_and(|inner| is_written(run, inner))
}

/// The node of a file that an expression without operators comes to.
fn written_node(run: &Arc<Run>, expr: &'static Expr<'static>) -> Option<Node> {
    match expr {
        Expr::Var(var) => match run.view.get(var.id)? {
            Variable::Node(node) => Some(node.as_ref().clone()),
            Variable::Data(_) => None,
        },
        Expr::GetAttr(attr) => written_node(run, &attr.expr)?.get(attr.name).cloned(),
        Expr::GetItem(item) => {
            let Expr::Const(key) = &item.subscript_expr else { return None };
            let node = written_node(run, &item.expr)?;
            match key.value.as_str() {
                Some(key) => node.get(key).cloned(),
                None => node.as_seq()?.get(key.value.as_usize()?).cloned(),
            }
        }
        _ => None,
    }
}

/// Where the value of a condition was written: a text in place, or the variable that the condition is.
fn origin(run: &Arc<Run>, node: &Node, text: &str) -> Option<Span> {
    let bare = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text);
    match &parse(bare, &Dialect::Expr).ok()?.root {
        Root::Expr(Expr::Const(_)) => Some(node.span.clone()),
        Root::Expr(Expr::Var(var)) => match run.view.get(var.id)? {
            Variable::Node(node) => Some(node.span.clone()),
            Variable::Data(_) => None,
        },
        _ => None,
    }
}

fn strictly_boolean(value: &Value, origin: impl FnOnce() -> Option<Span>) -> Res<bool> {
    check(value)?;
    if type_of(value) == Type::Bool {
        return Ok(value.is_true());
    }
    let truth = if value.is_true() { "True" } else { "False" };
    let at = origin().map(|span| format!(" at '{span}'")).unwrap_or_default();
    let fail = Fail::error(format!(
        "Conditional result ({truth}) was derived from value of type '{}'{at}. Conditionals must have a boolean result.",
        type_name(value)
    ));
    Err(match type_of(value) {
        Type::Str => fail.hint("add `| bool` if the text is a yes or no, `| length > 0` to ask whether there is one"),
        Type::List | Type::Map => fail.hint("add `| length > 0` to ask whether it is empty"),
        Type::Int | Type::Float => fail.hint("compare the number, as in `!= 0`, or add `| bool`"),
        Type::None => fail.hint("ask `is not none`, or give a `default`"),
        _ => fail,
    })
}
