//! `ansible-vault encrypt_string`: values for YAML files.

use super::command::{Common, Encrypting};
use super::file::{Input, Output};
use super::passwords::to_encrypt;
use super::{Settings, encrypting, seal};
use crate::ask;
use crate::cli::OptionError;
use anstream::eprintln;
use anyhow::Context;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(clap::Args)]
pub struct Args {
    /// Strings to encrypt; `-` for the standard input
    strings: Vec<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    encrypting: Encrypting,
    /// Where to write; `-` for the standard output
    #[arg(long)]
    output: Option<PathBuf>,
    /// Ask for the string to encrypt
    #[arg(short, long)]
    prompt: bool,
    /// Show what is typed
    #[arg(long)]
    show_input: bool,
    /// The name of a string's variable; may be given several times
    #[arg(short, long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The name of the variable of what comes from the standard input
    #[arg(long)]
    stdin_name: Option<String>,
}

/// A string, its variable's name, and where it is from.
struct Value {
    name: Option<String>,
    text: Zeroizing<String>,
    from: &'static str,
}

pub fn encrypt(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    let dashes = args.strings.iter().filter(|string| *string == "-").count();
    if args.prompt && dashes > 0 {
        return Err(OptionError("The --prompt option is not supported if also reading input from stdin".to_owned()).into());
    }
    let (keys, label) = to_encrypt(&args.common.passwords, settings, args.encrypting.encrypt_vault_id.as_deref())?;
    let key = encrypting(&keys, label.as_deref())?;
    let values = values(args)?;
    if values.len() > 1 && args.output.is_some() {
        return Err(OptionError("At most one input file may be used with the --output option".to_owned()).into());
    }
    let mut texts = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let vaulted = seal(value.text.as_bytes(), key, Some(&key.label), settings);
        if values.len() > 1 {
            let number = n + 1;
            match &value.name {
                Some(name) => eprintln!("# The encrypted version of variable (\"{name}\", the string #{number} from {}).", value.from),
                None => eprintln!("# The encrypted version of the string #{number} from {}.)", value.from),
            }
        }
        texts.push(yaml(value.name.as_deref(), &vaulted));
    }
    let output = match &args.output {
        Some(path) if path != Path::new("-") => Output::File(path.clone()),
        _ => Output::Stdout,
    };
    output.write((texts.join("\n") + "\n").as_bytes())?;
    if std::io::stdout().is_terminal() {
        eprintln!("Encryption successful");
    }
    Ok(())
}

/// What is to be encrypted, in the order of its output: what was asked for, the standard input, the arguments.
fn values(args: &Args) -> anyhow::Result<Vec<Value>> {
    let mut values = Vec::new();
    let mut names = args.names.iter().cloned();
    let has_stdin = args.strings.iter().any(|string| string == "-") || (args.strings.is_empty() && !args.prompt);
    if args.prompt {
        let name = match args.names.is_empty() {
            true => Some(ask::shown("Variable name (enter for no name): ").context("cannot ask for a name")?.to_string()),
            false => names.next(),
        };
        let text = match args.show_input {
            true => ask::shown("String to encrypt: "),
            false => ask::hidden("String to encrypt (hidden): "),
        };
        let text = text.context("cannot ask for the string")?;
        values.push(Value {
            name: name.filter(|name| !name.is_empty()),
            text: not_empty(text, "The plaintext provided from the prompt")?,
            from: "the interactive prompt",
        });
    }
    if has_stdin {
        if std::io::stdin().is_terminal() {
            eprintln!("Reading plaintext input from stdin. (ctrl-d to end input, twice if your content does not already have a newline)");
        }
        let read = Input::Stdin.read()?;
        let text = Zeroizing::new(std::str::from_utf8(&read).context("the standard input is not UTF-8")?.to_owned());
        if text.is_empty() {
            return Err(OptionError("stdin was empty, not encrypting".to_owned()).into());
        }
        values.push(Value { name: args.stdin_name.clone(), text, from: "stdin" });
    }
    let given: Vec<&String> = args.strings.iter().filter(|string| *string != "-").collect();
    if !args.names.is_empty() && args.names.len() < given.len() {
        eprintln!("The number of --name options do not match the number of args.");
        eprintln!("The last named variable will be \"{}\". The rest will not have names.", args.names[args.names.len() - 1]);
    }
    for text in given {
        let text = not_empty(Zeroizing::new(text.clone()), "The plaintext provided from the command line args")?;
        values.push(Value { name: names.next(), text, from: "the command line args" });
    }
    Ok(values)
}

fn not_empty(text: Zeroizing<String>, what: &str) -> anyhow::Result<Zeroizing<String>> {
    if text.is_empty() {
        return Err(OptionError(format!("{what} was empty, not encrypting")).into());
    }
    Ok(text)
}

fn yaml(name: Option<&str>, vaulted: &str) -> String {
    let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
    let lines: Vec<String> = vaulted.lines().map(|line| format!("          {line}")).collect();
    format!("{name}!vault |\n{}", lines.join("\n"))
}
