//! Which variables a value cannot do without: those that are looked up whatever the others are, and whose absence nothing would catch. What is
//! only perhaps looked up (behind `and`, `if`, `default`, `is defined`, a lookup's arguments) is left out: the check says nothing of it.

use super::parse::{Dialect, Origin, Root, parse_at, range};
use crate::source::{Kind, Node, Span};
use minijinja::machinery::ast::{BinOpKind, Expr, Stmt, UnaryOpKind};

/// Filters that are there for what is not defined.
const FORGIVING: &[&str] = &["d", "default", "mandatory", "type_debug"];

/// Tests that fail on what is not defined.
const STRICT: &[&str] = &[
    "change",
    "changed",
    "contains",
    "directory",
    "exists",
    "failed",
    "failure",
    "file",
    "match",
    "regex",
    "search",
    "skip",
    "skipped",
    "subset",
    "succeeded",
    "success",
    "superset",
    "version",
    "version_compare",
];

/// The names, each with its place.
pub(super) fn names(node: &Node, is_condition: bool) -> Vec<(String, Span)> {
    let mut needed = Vec::new();
    collect(node, is_condition, &mut needed);
    needed
}

/// The variables whose bare truth decides a condition.
pub(super) fn truths(node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    if let Some((_, Root::Expr(expr))) = parsed(node, true) {
        bare(expr, &mut found);
    }
    found
}

fn bare(expr: &Expr, found: &mut Vec<String>) {
    match expr {
        Expr::Var(var) => found.push(var.id.to_owned()),
        Expr::UnaryOp(op) if matches!(op.op, UnaryOpKind::Not) => bare(&op.expr, found),
        Expr::BinOp(op) if matches!(op.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
            bare(&op.left, found);
            bare(&op.right, found);
        }
        _ => {}
    }
}

fn parsed(node: &Node, is_condition: bool) -> Option<(Origin, &'static Root)> {
    let text = node.as_str()?;
    let is_template = text.trim_start().starts_with("{{");
    if !is_condition && !node.is_template() {
        return None;
    }
    let dialect = if is_condition && !is_template { Dialect::Expr } else { Dialect::Inline };
    let origin = Origin::Node(node.clone());
    let parsed = parse_at(text, &dialect, &origin).ok()?;
    Some((origin, &parsed.root))
}

fn collect(node: &Node, is_condition: bool, needed: &mut Vec<(String, Span)>) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| collect(item, is_condition, needed)),
        Kind::Map(pairs) => pairs.iter().for_each(|(_, item)| collect(item, is_condition, needed)),
        _ => {
            let Some((origin, root)) = parsed(node, is_condition) else { return };
            let mut walk = Walk { origin, needed };
            match root {
                Root::Expr(expr) => walk.expr(expr),
                Root::Template(Stmt::Template(template)) => {
                    // Names of the template's own may hide the run's.
                    if template.children.iter().all(|stmt| matches!(stmt, Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::IfCond(_))) {
                        template.children.iter().for_each(|stmt| walk.stmt(stmt));
                    }
                }
                Root::Template(_) => {}
            }
        }
    }
}

struct Walk<'a> {
    origin: Origin,
    needed: &'a mut Vec<(String, Span)>,
}

impl Walk<'_> {
    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::EmitExpr(emit) => self.expr(&emit.expr),
            Stmt::IfCond(cond) => self.expr(&cond.expr),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Var(var) => self.needed.extend(self.origin.locate(range(var.span())).map(|span| (var.id.to_owned(), span))),
            Expr::UnaryOp(op) => self.expr(&op.expr),
            Expr::BinOp(op) => {
                self.expr(&op.left);
                if !matches!(op.op, BinOpKind::ScAnd | BinOpKind::ScOr) {
                    self.expr(&op.right);
                }
            }
            Expr::Compare(chain) => {
                self.expr(&chain.expr);
                if let Some(first) = chain.ops.first() {
                    self.expr(&first.expr);
                }
            }
            Expr::IfExpr(cond) => self.expr(&cond.test_expr),
            Expr::Filter(filter) if !FORGIVING.contains(&last_word(filter.name)) => filter.expr.iter().for_each(|expr| self.expr(expr)),
            Expr::Test(test) if STRICT.contains(&last_word(test.name)) => self.expr(&test.expr),
            Expr::GetAttr(attr) => self.expr(&attr.expr),
            Expr::GetItem(item) => self.expr(&item.expr),
            Expr::Slice(slice) => self.expr(&slice.expr),
            // A method; functions are no variables.
            Expr::Call(call) if !matches!(call.expr, Expr::Var(_)) => self.expr(&call.expr),
            _ => {}
        }
    }
}

fn last_word(name: &str) -> &str {
    name.rsplit(['.', ' ']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn of(text: &str, is_condition: bool) -> Vec<String> {
        let source = Source::from_text("x.yml", text);
        let node = Node::string(text, source.span(0, text.len()));
        names(&node, is_condition).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn only_what_is_looked_up_for_certain() {
        assert_eq!(of("a.b == c[0] and d", true), ["a", "c"]);
        assert_eq!(of("a is defined and a", true), Vec::<String>::new());
        assert_eq!(of("a | default(b) or c", true), Vec::<String>::new());
        assert_eq!(of("not a is failed", true), ["a"]);
        assert_eq!(of("{{ a | upper }}-{{ b if c else d }}", false), ["a", "c"]);
        assert_eq!(of("{% for a in b %}{{ a }}{% endfor %}{{ c }}", false), Vec::<String>::new());
        assert_eq!(of("{{ lookup('env', a) ~ range(b) }}", false), Vec::<String>::new());
        assert_eq!(of("plain", false), Vec::<String>::new());
    }

    #[test]
    fn bare_truths() {
        let source = Source::from_text("x.yml", "when");
        let found = |text: &str| truths(&Node::string(text, source.span(0, 4)));
        assert_eq!(found("a and not b or c == 1"), ["a", "b"]);
        assert_eq!(found("a | bool"), Vec::<String>::new());
    }
}
