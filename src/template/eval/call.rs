//! Calls: macros, functions, methods, `caller()`, `loop()`.

use super::methods::{self, CHANGING};
use super::{Eval, Frame, MacroRef, Out, is_callable};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check, is_undefined};
use crate::template::functions::{self, GlobalFn};
use crate::template::lazy::Deeper;
use crate::template::value::{self, int, list, text, to_mutable};
use minijinja::Value;
use minijinja::machinery::ast::{self, Expr};
use minijinja::value::Object;
use std::sync::{Arc, Mutex, PoisonError};

impl Eval {
    pub(super) fn call(&mut self, call: &'static ast::Spanned<ast::Call<'static>>) -> Res {
        self.call_with(call, None)
    }

    pub(super) fn call_with(&mut self, call: &'static ast::Spanned<ast::Call<'static>>, caller: Option<Value>) -> Res {
        match &call.expr {
            Expr::GetAttr(attr) => self.method(attr, &call.args, caller),
            Expr::Var(var) if var.id == "super" => self.super_block(),
            callee => {
                let target = self.firm(callee)?;
                let is_lookup = matches!(callee, Expr::Var(var) if matches!(var.id, "lookup" | "query" | "q"));
                let outer = std::mem::replace(&mut self.in_lookup, is_lookup);
                let args = self.args(&call.args);
                self.in_lookup = outer;
                let args = args?;
                self.invoke(&target, args, caller)
            }
        }
    }

    fn invoke(&mut self, target: &Value, args: Args, caller: Option<Value>) -> Res {
        if let Some(MacroRef(number)) = target.downcast_object_ref::<MacroRef>() {
            return self.call_macro(*number, args, caller);
        }
        if let Some(function) = target.downcast_object_ref::<GlobalFn>() {
            let result = functions::call(&self.run, function, args)?;
            return if self.unit.parsed.mutates { to_mutable(result) } else { Ok(result) };
        }
        if let Some(state) = target.downcast_object_ref::<LoopState>() {
            let mut args = args;
            let over = args.need("iterable")?;
            let Some(each) = self.loops.get(state.number).copied().filter(|each| each.recursive) else {
                return Err(Fail::error("this loop is not `recursive`"));
            };
            let _deeper = Deeper::enter()?;
            let mut out = Out::text();
            self.for_loop(each, Some(over), state.depth + 1, &mut out)?;
            return Ok(out.into_value());
        }
        Err(Fail::error(format!("'{}' object is not callable", value::type_name(target))))
    }

    fn call_macro(&mut self, number: usize, mut args: Args, caller: Option<Value>) -> Res {
        let _deeper = Deeper::enter()?;
        let Some(def) = self.macros.get(number) else { return Err(Fail::error("this macro belongs to another template")) };
        let (decl, mut frames, unit) = (def.decl, def.frames.clone(), def.unit.clone());
        frames.push(Frame::default());
        let outer_frames = std::mem::replace(&mut self.frames, frames);
        let outer_unit = std::mem::replace(&mut self.unit, unit);
        let result = self.macro_body(decl, &mut args, caller);
        self.frames = outer_frames;
        self.unit = outer_unit;
        result
    }

    fn macro_body(&mut self, decl: &'static ast::Macro<'static>, args: &mut Args, caller: Option<Value>) -> Res {
        let without_default = decl.args.len().saturating_sub(decl.defaults.len());
        for (n, param) in decl.args.iter().enumerate() {
            let Expr::Var(var) = param else { continue };
            let value = match args.get(var.id) {
                Some(value) => value,
                None if n >= without_default => self.soft(&decl.defaults[n - without_default])?,
                None => self.run.unknown(var.id, self.place(var.span())),
            };
            self.set(var.id, value);
        }
        self.set("varargs", list(args.rest()));
        let named = args.rest_named();
        self.set("kwargs", value::map(named.into_iter().map(|(name, value)| (Value::from(name), value))));
        if let Some(caller) = caller {
            self.set("caller", caller);
        }
        let mut out = Out::native();
        self.statements(&decl.body, &mut out)?;
        Ok(out.into_value_or_empty())
    }

    fn method(&mut self, attr: &'static ast::Spanned<ast::GetAttr<'static>>, args: &'static [ast::CallArg<'static>], caller: Option<Value>) -> Res {
        let of = self.soft(&attr.expr)?;
        if is_undefined(&of) {
            return Ok(of);
        }
        check(&of)?;
        let args = self.args(args)?;
        // The functions of an imported template, and what a namespace holds.
        if let Some(member) = value::get(&of, attr.name).filter(is_callable) {
            return self.invoke(&member, args, caller);
        }
        if let Some(state) = of.downcast_object_ref::<LoopState>() {
            return state.method(attr.name, args);
        }
        let receiver = match &attr.expr {
            // A variable that is changed in place: from now on the template sees its changeable copy.
            Expr::Var(var) if CHANGING.contains(&attr.name) && Eval::is_container(&of) => {
                let changeable = to_mutable(of)?;
                let frame = self.frames.iter().rev().find(|frame| frame.borrow().contains_key(var.id)).or(self.frames.first());
                if let Some(frame) = frame {
                    frame.borrow_mut().insert(var.id.to_owned(), changeable.clone());
                }
                changeable
            }
            _ => of,
        };
        methods::call(&self.run, &receiver, attr.name, args)
    }
}

/// The `loop` of a template's loop.
#[derive(Debug)]
pub(super) struct LoopState {
    pub index: usize,
    pub items: Arc<[Value]>,
    pub depth: usize,
    /// Which of the loops that are running.
    pub number: usize,
    /// What `loop.changed()` was called with last.
    pub changed: Arc<Mutex<Option<Value>>>,
}

impl Object for LoopState {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (index, len) = (self.index, self.items.len());
        let neighbour = |at: Option<usize>| at.and_then(|at| self.items.get(at).cloned());
        let number = |n: usize| int(n as i128);
        Some(match key.as_str()? {
            "index" => number(index + 1),
            "index0" => number(index),
            "revindex" => number(len - index),
            "revindex0" => number(len - index - 1),
            "first" => Value::from(index == 0),
            "last" => Value::from(index + 1 == len),
            "length" => number(len),
            "depth" => number(self.depth + 1),
            "depth0" => number(self.depth),
            "previtem" => return neighbour(index.checked_sub(1)),
            "nextitem" => return neighbour(Some(index + 1)),
            _ => return None,
        })
    }
}

impl LoopState {
    fn method(&self, name: &str, mut args: Args) -> Res {
        match name {
            "cycle" => {
                let choices = args.rest();
                match choices.get(self.index % choices.len().max(1)) {
                    Some(choice) => Ok(choice.clone()),
                    None => Err(Fail::error("`loop.cycle()` needs something to cycle through")),
                }
            }
            "changed" => {
                let now = list(args.rest());
                let mut last = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = match &*last {
                    Some(last) => !value::equal(last, &now)?,
                    None => true,
                };
                *last = Some(now);
                Ok(Value::from(changed))
            }
            other => Err(Fail::error(format!("`loop` has no method `{}`", text(&Value::from(other))?))),
        }
    }
}
