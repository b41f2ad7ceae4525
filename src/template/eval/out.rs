//! The output of a template: text, or one value that keeps its type.

use crate::template::fail::{FailKind, Lack, Res, check};
use crate::template::is_omit;
use crate::template::value;
use minijinja::Value;

/// Where output goes. Of an inline template with a single piece, the piece keeps its type.
pub(super) struct Out {
    pub text: String,
    single: Option<Value>,
    pieces: usize,
    native: bool,
}

impl Out {
    pub fn native() -> Out {
        Out { text: String::new(), single: None, pieces: 0, native: true }
    }

    pub fn text() -> Out {
        Out { native: false, ..Out::native() }
    }

    pub fn raw(&mut self, text: &str) -> Res<()> {
        self.spill()?;
        self.pieces += 1;
        value::fits(self.text.len() + text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    pub fn value(&mut self, value: Value) -> Res<()> {
        if let Err(fail) = check(&value) {
            return if matches!(fail.kind, FailKind::Undefined(Lack::Nothing)) { Ok(()) } else { Err(fail) };
        }
        if value.is_none() || is_omit(&value) {
            return Ok(());
        }
        if self.native && self.pieces == 0 {
            self.pieces = 1;
            self.single = Some(value);
            return Ok(());
        }
        match value.as_str() {
            Some(text) => self.raw(text),
            None => self.raw(&value::output_text(&value)?),
        }
    }

    /// A second piece comes: the first becomes text.
    pub fn spill(&mut self) -> Res<()> {
        if let Some(first) = self.single.take() {
            self.text.push_str(&value::output_text(&first)?);
        }
        Ok(())
    }

    pub fn into_value_or_empty(self) -> Value {
        if self.pieces == 0 { Value::from("") } else { self.into_value() }
    }

    pub fn into_value(self) -> Value {
        match self.single {
            Some(value) => value,
            None if self.pieces == 0 && self.native => Value::from(()),
            None => Value::from(self.text),
        }
    }
}
