//! Filters that encrypt and decrypt as ansible-vault does, with a password of the template's own.

use super::Filter;
use crate::secrets;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::value::{Type, text, type_name, type_of};
use crate::vault::{Envelope, Error, Key, Keyring, Password};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("vault", |_, value, args| {
        let (plain, password) = (string(&value)?, password(args)?);
        let salt = match args.get("salt") {
            Some(salt) if !salt.is_none() => text(&salt)?.into_bytes(),
            _ => rand::random::<[u8; 32]>().to_vec(),
        };
        let label = label(args)?;
        if args.flag("wrap_object", false)? {
            return Err(Fail::error("`wrap_object` is not supported"));
        }
        Ok(Value::from(Envelope::seal(plain.as_bytes(), password.as_bytes(), Some(&label), salt).to_text()))
    }),
    ("unvault", |_, value, args| {
        let (vaulted, password) = (string(&value)?, password(args)?);
        let key = Key { label: label(args)?, password: Password::new(password.into_bytes()) };
        let wrong = |err: Error| Fail::error(format!("Unable to decrypt: {err}"));
        let envelope = match Envelope::parse(vaulted.as_bytes()) {
            Err(Error::NotEncrypted) => return Ok(Value::from(vaulted)),
            other => other.map_err(wrong)?,
        };
        let keyring = Keyring::new(vec![key], false);
        let opened = keyring.decrypt(&envelope).map_err(wrong)?;
        let plain = String::from_utf8_lossy(&opened.plain).into_owned();
        secrets::register(&plain);
        Ok(Value::from(plain))
    }),
];

fn string(value: &Value) -> Res<String> {
    match type_of(value) {
        Type::Str => text(value),
        _ => Err(Fail::error(format!("a string can be encrypted, and this is '{}'", type_name(value)))),
    }
}

fn password(args: &mut Args) -> Res<String> {
    let secret = args.need("secret")?;
    if type_of(&secret) != Type::Str {
        return Err(Fail::error(format!("Secret passed is required to be a string, instead we got: {}", type_name(&secret))));
    }
    let secret = text(&secret)?;
    secrets::register(&secret);
    Ok(secret)
}

/// `vault_id`, which once was called `vaultid`.
fn label(args: &mut Args) -> Res<String> {
    let label = args.text_or("vault_id", "filter_default")?;
    args.named("vaultid").map_or(Ok(label), |older| text(&older))
}
