//! Statements: loops, conditions, assignments, macros, blocks, includes and imports.

use super::call::LoopState;
use super::{Eval, Frame, MacroDef, MacroRef, Out, Unit};
use crate::template::fail::{Fail, FailKind, Res};
use crate::template::lazy::Deeper;
use crate::template::lookups::files;
use crate::template::objects::MutMap;
use crate::template::parse::{Delimiters, Dialect, Origin, Root, parse_at};
use crate::template::value::ValueMap;
use crate::template::value::{self, raw_items, text, truth, type_of};
use minijinja::Value;
use minijinja::machinery::ast::{self, Expr, Stmt};
use std::rc::Rc;
use std::sync::Arc;

impl Eval {
    /// A whole template: its statements, then those of the template it extends.
    pub(super) fn template(&mut self, body: &'static [Stmt<'static>], out: &mut Out) -> Res<()> {
        let Some(at) = body.iter().position(|stmt| matches!(stmt, Stmt::Extends(_))) else { return self.statements(body, out) };
        let Stmt::Extends(extends) = &body[at] else { return Ok(()) };
        self.collect_blocks(body);
        // Beside its blocks, an extending template only sets names: its text goes nowhere.
        self.statements(&body[..at], &mut Out::text())?;
        let name = self.firm(&extends.name)?;
        let own = body[at + 1..].iter().filter(|stmt| !matches!(stmt, Stmt::Block(_)));
        for stmt in own {
            self.statement(stmt, &mut Out::text())?;
        }
        let (unit, parent) = self.load(&text(&name)?).map_err(|fail| fail.at(self.place(extends.span())))?;
        let _deeper = Deeper::enter()?;
        let outer = std::mem::replace(&mut self.unit, unit);
        let result = self.template(parent, out);
        self.unit = outer;
        result
    }

    fn collect_blocks(&mut self, body: &'static [Stmt<'static>]) {
        for stmt in body {
            match stmt {
                Stmt::Block(block) => {
                    self.blocks.entry(block.name).or_default().push((block, self.unit.clone()));
                    self.collect_blocks(&block.body);
                }
                Stmt::IfCond(cond) => {
                    self.collect_blocks(&cond.true_body);
                    self.collect_blocks(&cond.false_body);
                }
                Stmt::ForLoop(each) => self.collect_blocks(&each.body),
                _ => {}
            }
        }
    }

    pub(super) fn statements(&mut self, body: &'static [Stmt<'static>], out: &mut Out) -> Res<()> {
        body.iter().try_for_each(|stmt| self.statement(stmt, out))
    }

    fn statement(&mut self, stmt: &'static Stmt<'static>, out: &mut Out) -> Res<()> {
        self.run.step()?;
        match stmt {
            Stmt::Template(template) => self.template(&template.children, out),
            Stmt::EmitRaw(raw) => out.raw(raw.raw),
            Stmt::EmitExpr(emit) => self.emit(emit, out),
            Stmt::ForLoop(each) => self.for_loop(each, None, 0, out),
            Stmt::IfCond(cond) => {
                let holds = truth(&self.firm(&cond.expr)?).map_err(|fail| fail.at(self.place(cond.expr.span())))?;
                self.statements(if holds { &cond.true_body } else { &cond.false_body }, out)
            }
            Stmt::WithBlock(with) => {
                let values = with.assignments.iter().map(|(_, expr)| self.soft(expr)).collect::<Res<Vec<_>>>()?;
                self.scoped(|eval| {
                    for ((target, _), value) in with.assignments.iter().zip(values) {
                        eval.assign(target, value)?;
                    }
                    eval.statements(&with.body, out)
                })
            }
            Stmt::Set(set) => {
                let value = self.soft(&set.expr)?;
                self.assign(&set.target, value)
            }
            Stmt::SetBlock(set) => {
                let captured = self.capture(&set.body)?;
                let value = self.through_filter(set.filter.as_ref(), captured)?;
                self.assign(&set.target, value)
            }
            Stmt::FilterBlock(block) => {
                let captured = self.capture(&block.body)?;
                let value = self.through_filter(Some(&block.filter), captured)?;
                out.value(value)
            }
            Stmt::AutoEscape(block) => self.statements(&block.body, out),
            Stmt::Block(block) => self.block(block, out),
            Stmt::Extends(extends) => Err(Fail::error("`extends` must stand at the top of the template").at(self.place(extends.span()))),
            Stmt::Include(include) => self.include(include, out),
            Stmt::Import(import) => {
                let module = self.import(&import.expr)?;
                self.assign(&import.name, module)
            }
            Stmt::FromImport(import) => {
                let module = self.import(&import.expr)?;
                for (name, alias) in &import.names {
                    let Expr::Var(var) = name else { continue };
                    let Some(value) = value::get(&module, var.id) else {
                        return Err(Fail::error(format!("the imported template has no `{}`", var.id)).at(self.place(var.span())));
                    };
                    self.assign(alias.as_ref().unwrap_or(name), value)?;
                }
                Ok(())
            }
            Stmt::Macro(decl) => {
                let value = self.define(decl);
                self.set(decl.name, value);
                Ok(())
            }
            Stmt::CallBlock(block) => {
                let caller = self.define(&block.macro_decl);
                let value = self.call_with(&block.call, Some(caller))?;
                out.value(value)
            }
            Stmt::Do(act) => self.call(&act.call).map(drop),
            Stmt::Continue(_) => Err(Fail::signal(FailKind::Continue)),
            Stmt::Break(_) => Err(Fail::signal(FailKind::Break)),
        }
    }

    fn emit(&mut self, emit: &'static ast::Spanned<ast::EmitExpr<'static>>, out: &mut Out) -> Res<()> {
        let outer = std::mem::replace(&mut self.in_variable, true);
        let value = self.soft(&emit.expr);
        self.in_variable = outer;
        out.value(value?).map_err(|fail| fail.at(self.place(emit.expr.span())))
    }

    pub(super) fn scoped<T>(&mut self, act: impl FnOnce(&mut Eval) -> Res<T>) -> Res<T> {
        self.frames.push(Frame::default());
        let result = act(self);
        self.frames.pop();
        result
    }

    fn capture(&mut self, body: &'static [Stmt<'static>]) -> Res {
        let mut out = Out::native();
        self.scoped(|eval| eval.statements(body, &mut out))?;
        Ok(out.into_value_or_empty())
    }

    fn through_filter(&mut self, filter: Option<&'static Expr<'static>>, value: Value) -> Res {
        match filter {
            Some(Expr::Filter(filter)) => {
                let value = self.through_filter(filter.expr.as_ref(), value)?;
                self.apply_filter(filter, value)
            }
            _ => Ok(value),
        }
    }

    pub(super) fn assign(&mut self, target: &'static Expr<'static>, value: Value) -> Res<()> {
        match target {
            Expr::Var(var) => {
                self.set(var.id, value);
                Ok(())
            }
            Expr::Tuple(ast) => self.unpack(&ast.items, &value),
            Expr::List(ast) => self.unpack(&ast.items, &value),
            Expr::GetAttr(attr) => {
                let of = self.firm(&attr.expr)?;
                match of.downcast_object_ref::<MutMap>() {
                    Some(map) => {
                        map.with(|pairs| pairs.insert(Value::from(attr.name), value));
                        Ok(())
                    }
                    None => Err(Fail::error(format!("cannot assign to an attribute of a {}: use `namespace()`", value::type_name(&of)))
                        .at(self.place(attr.span()))),
                }
            }
            other => Err(Fail::error(format!("cannot assign to {}", other.description())).at(self.place(other.span()))),
        }
    }

    fn unpack(&mut self, targets: &'static [Expr<'static>], value: &Value) -> Res<()> {
        let items = raw_items(value)?;
        if items.len() != targets.len() {
            return Err(Fail::error(format!("cannot unpack {} values into {} names", items.len(), targets.len())));
        }
        targets.iter().zip(items).try_for_each(|(target, item)| self.assign(target, item))
    }

    /// `over`: what a recursive loop goes over instead of its own expression.
    pub(super) fn for_loop(
        &mut self,
        each: &'static ast::Spanned<ast::ForLoop<'static>>,
        over: Option<Value>,
        depth: usize,
        out: &mut Out,
    ) -> Res<()> {
        let over = match over {
            Some(over) => over,
            None => self.firm(&each.iter)?,
        };
        let mut items = raw_items(&over).map_err(|fail| fail.at(self.place(each.iter.span())))?;
        if let Some(filter) = &each.filter_expr {
            let mut kept = Vec::new();
            for item in items {
                let keep = self.scoped(|eval| {
                    eval.assign(&each.target, item.clone())?;
                    truth(&eval.firm(filter)?)
                })?;
                if keep {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.statements(&each.else_body, out);
        }
        let number = self.loops.len();
        self.loops.push(each);
        let last_seen = Arc::default();
        let items: Arc<[Value]> = items.into();
        let mut result = Ok(());
        for n in 0..items.len() {
            self.run.step()?;
            let state = LoopState { index: n, items: items.clone(), depth, number, changed: Arc::clone(&last_seen) };
            result = self.scoped(|eval| {
                eval.set("loop", Value::from_object(state));
                eval.assign(&each.target, items[n].clone()).map_err(|fail| fail.at(eval.place(each.target.span())))?;
                eval.statements(&each.body, out)
            });
            match &result {
                Err(fail) if matches!(fail.kind, FailKind::Continue) => result = Ok(()),
                Err(fail) if matches!(fail.kind, FailKind::Break) => {
                    result = Ok(());
                    break;
                }
                Err(_) => break,
                Ok(()) => {}
            }
        }
        self.loops.pop();
        result
    }

    fn block(&mut self, block: &'static ast::Spanned<ast::Block<'static>>, out: &mut Out) -> Res<()> {
        self.blocks.entry(block.name).or_default();
        let overridden = self.blocks[block.name].first().cloned();
        match overridden {
            Some((first, unit)) => {
                // The version that stands here is the last resort of `super()`.
                let own = self.unit.clone();
                let known = &mut self.blocks.entry(block.name).or_default();
                if !known.iter().any(|(other, _)| std::ptr::eq(*other, &**block)) {
                    known.push((block, own));
                }
                self.block_version(block.name, 0, first, unit, out)
            }
            None => self.block_version(block.name, 0, block, self.unit.clone(), out),
        }
    }

    fn block_version(
        &mut self,
        name: &'static str,
        version: usize,
        block: &'static ast::Block<'static>,
        unit: Unit,
        out: &mut Out,
    ) -> Res<()> {
        let _deeper = Deeper::enter()?;
        let outer = (std::mem::replace(&mut self.unit, unit), self.block.replace((name, version)));
        let result = self.scoped(|eval| eval.statements(&block.body, out));
        (self.unit, self.block) = outer;
        result
    }

    /// `super()`: the block as the template that is extended has it.
    pub(super) fn super_block(&mut self) -> Res {
        let next = self.block.and_then(|(name, version)| {
            let (block, unit) = self.blocks.get(name)?.get(version + 1)?.clone();
            Some((name, version + 1, block, unit))
        });
        let Some((name, version, block, unit)) = next else {
            return Err(Fail::error("`super()` has no block of an extended template to render"));
        };
        let mut out = Out::text();
        self.block_version(name, version, block, unit, &mut out)?;
        Ok(out.into_value())
    }

    pub(super) fn define(&mut self, decl: &'static ast::Macro<'static>) -> Value {
        self.macros.push(MacroDef { decl, frames: self.frames.iter().map(Rc::clone).collect(), unit: self.unit.clone() });
        Value::from_object(MacroRef(self.macros.len() - 1))
    }

    fn include(&mut self, include: &'static ast::Spanned<ast::Include<'static>>, out: &mut Out) -> Res<()> {
        let wanted = self.firm(&include.name)?;
        let names = if value::is_list(&wanted) { value::items(&wanted)? } else { vec![wanted] };
        let mut first_fail = None;
        for name in &names {
            match self.load(&text(name)?) {
                Ok((unit, body)) => {
                    let _deeper = Deeper::enter()?;
                    let outer = std::mem::replace(&mut self.unit, unit);
                    let result = self.scoped(|eval| eval.template(body, out));
                    self.unit = outer;
                    return result.map_err(|fail| fail.used_at(self.place(include.span()), "included here".to_owned()));
                }
                Err(fail) if !fail.places.is_empty() => return Err(fail),
                Err(fail) => first_fail = first_fail.or(Some(fail)),
            }
        }
        match first_fail {
            Some(fail) if !include.ignore_missing => Err(fail.at(self.place(include.span()))),
            _ => Ok(()),
        }
    }

    /// A template's macros and names as a mapping.
    fn import(&mut self, name: &'static Expr<'static>) -> Res {
        let wanted = self.firm(name)?;
        let (unit, body) = self.load(&text(&wanted)?).map_err(|fail| fail.at(self.place(name.span())))?;
        let _deeper = Deeper::enter()?;
        let outer = std::mem::replace(&mut self.unit, unit);
        // An imported template sees variables, not the names its importer has set.
        let frames = std::mem::replace(&mut self.frames, vec![Frame::default()]);
        let result = self.template(body, &mut Out::text());
        let names = std::mem::replace(&mut self.frames, frames).pop();
        self.unit = outer;
        result?;
        let names = names.map(|frame| frame.borrow().clone()).unwrap_or_default();
        let exported = names.into_iter().filter(|(name, _)| !name.starts_with('_'));
        Ok(Value::from_object(MutMap::new(exported.map(|(name, value)| (Value::from(name), value)).collect::<ValueMap>())))
    }

    /// A template beside this one or on the search path. A failure without a place means that there is none.
    fn load(&self, name: &str) -> Res<(Unit, &'static [Stmt<'static>])> {
        let beside = match &self.unit.origin {
            Origin::File(source, _) => std::path::Path::new(&source.name).parent(),
            Origin::Node(_) => None,
        };
        let source = files::template_source(&self.run.view, name, beside, "")?;
        let dialect = match &self.unit.dialect {
            Dialect::File { .. } => self.unit.dialect.clone(),
            _ => Dialect::File { trim_blocks: true, lstrip_blocks: false, delimiters: Delimiters::default() },
        };
        let origin = Origin::File(source.clone(), 0);
        let parsed = parse_at(&source.text, &dialect, &origin)?;
        let Root::Template(Stmt::Template(template)) = &parsed.root else { return Err(Fail::error(format!("`{name}` is not a template"))) };
        let unit = Unit { parsed, origin, dialect, raw_strings: false };
        Ok((unit, &template.children))
    }

    /// Whether a value is a list or mapping.
    pub(super) fn is_container(value: &Value) -> bool {
        matches!(type_of(value), value::Type::List | value::Type::Map)
    }
}
