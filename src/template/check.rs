//! What can be said of templates before anything runs: syntax, and filters, tests and lookups that do not exist.

use super::fail::Fail;
use super::parse::{Dialect, Origin, Parsed, Root, parse_at, range};
use super::{filters, lookups, tests};
use crate::source::{Diag, Kind, Node};
use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, CallArg, Expr, Stmt};

pub(super) fn value(node: &Node) -> Vec<Diag> {
    match &node.kind {
        Kind::Seq(items) => items.iter().flat_map(value).collect(),
        Kind::Map(pairs) => pairs.iter().flat_map(|(_, item)| value(item)).collect(),
        Kind::Str(text) if node.is_template() => text_in(node, &text.text, &Dialect::Inline),
        _ => Vec::new(),
    }
}

pub(super) fn condition(node: &Node) -> Vec<Diag> {
    match &node.kind {
        Kind::Seq(items) => items.iter().flat_map(condition).collect(),
        Kind::Str(text) if text.text.trim().is_empty() => vec![Diag::error("Empty conditional expressions are not allowed.").at(&node.span)],
        Kind::Str(text) => {
            let whole = text.text.trim_start().starts_with("{{") && text.text.trim_end().ends_with("}}");
            text_in(node, &text.text, if whole { &Dialect::Inline } else { &Dialect::Expr })
        }
        Kind::Int(_) | Kind::Float(_) | Kind::Map(_) => vec![Diag::error("Conditional expressions must be strings.").at(&node.span)],
        _ => Vec::new(),
    }
}

fn text_in(node: &Node, text: &str, dialect: &Dialect) -> Vec<Diag> {
    let origin = Origin::Node(node.clone());
    match parse_at(text, dialect, &origin) {
        Ok(parsed) => {
            let mut walk = Walk { parsed, origin, found: Vec::new() };
            match &parsed.root {
                Root::Template(stmt) => walk.stmt(stmt),
                Root::Expr(expr) => walk.expr(expr),
            }
            walk.found
        }
        Err(fail) => vec![fail.into_diag()],
    }
}

struct Walk {
    parsed: &'static Parsed,
    origin: Origin,
    found: Vec<Diag>,
}

impl Walk {
    fn complain(&mut self, fail: Box<Fail>, span: Span, word: &str) {
        let whole = range(span);
        let at = self.parsed.text.get(whole.clone()).and_then(|text| text.rfind(word));
        let place = at.map_or(whole.clone(), |at| whole.start + at..whole.start + at + word.len());
        self.found.push(fail.at(self.origin.locate(place)).into_diag());
    }

    fn body(&mut self, body: &[Stmt]) {
        body.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
            Stmt::ForLoop(each) => {
                self.expr(&each.iter);
                each.filter_expr.iter().for_each(|expr| self.expr(expr));
                self.body(&each.body);
                self.body(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                self.expr(&cond.expr);
                self.body(&cond.true_body);
                self.body(&cond.false_body);
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().for_each(|(_, expr)| self.expr(expr));
                self.body(&with.body);
            }
            Stmt::Set(set) => self.expr(&set.expr),
            Stmt::SetBlock(set) => {
                set.filter.iter().for_each(|expr| self.expr(expr));
                self.body(&set.body);
            }
            Stmt::AutoEscape(block) => self.body(&block.body),
            Stmt::FilterBlock(block) => {
                self.expr(&block.filter);
                self.body(&block.body);
            }
            Stmt::Block(block) => self.body(&block.body),
            Stmt::Import(import) => self.expr(&import.expr),
            Stmt::FromImport(import) => self.expr(&import.expr),
            Stmt::Extends(extends) => self.expr(&extends.name),
            Stmt::Include(include) => self.expr(&include.name),
            Stmt::Macro(decl) => self.macro_decl(decl),
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.macro_decl(&block.macro_decl);
            }
            Stmt::Do(act) => self.call(&act.call),
        }
    }

    fn macro_decl(&mut self, decl: &ast::Macro) {
        decl.defaults.iter().for_each(|expr| self.expr(expr));
        self.body(&decl.body);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expr(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|expr| self.expr(expr));
            }
            Expr::UnaryOp(op) => self.expr(&op.expr),
            Expr::BinOp(op) => {
                self.expr(&op.left);
                self.expr(&op.right);
            }
            Expr::Compare(chain) => {
                self.expr(&chain.expr);
                chain.ops.iter().for_each(|op| self.expr(&op.expr));
            }
            Expr::IfExpr(cond) => {
                self.expr(&cond.test_expr);
                self.expr(&cond.true_expr);
                cond.false_expr.iter().for_each(|expr| self.expr(expr));
            }
            Expr::Filter(filter) => {
                filter.expr.iter().for_each(|expr| self.expr(expr));
                self.args(&filter.args);
                let name: String = filter.name.split_whitespace().collect();
                if !filters::is_known(&name) {
                    self.complain(filters::unknown(&name), filter.span(), filter.name);
                }
            }
            Expr::Test(test) => {
                self.expr(&test.expr);
                self.args(&test.args);
                let name: String = test.name.split_whitespace().collect();
                if !tests::is_known(&name) {
                    self.complain(tests::unknown(&name), test.span(), test.name);
                }
            }
            Expr::GetAttr(attr) => self.expr(&attr.expr),
            Expr::GetItem(item) => {
                self.expr(&item.expr);
                self.expr(&item.subscript_expr);
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|expr| self.expr(expr)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|expr| self.expr(expr)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|expr| self.expr(expr)),
        }
    }

    fn args(&mut self, args: &[CallArg]) {
        for arg in args {
            match arg {
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => self.expr(expr),
            }
        }
    }

    fn call(&mut self, call: &ast::Spanned<ast::Call>) {
        self.expr(&call.expr);
        self.args(&call.args);
        if let (Expr::Var(var), Some(CallArg::Pos(Expr::Const(name)))) = (&call.expr, call.args.first())
            && matches!(var.id, "lookup" | "query" | "q")
            && let Some(name) = name.value.as_str()
            && !lookups::is_known(name)
        {
            self.complain(lookups::unknown(name), call.span(), name);
        }
    }
}
