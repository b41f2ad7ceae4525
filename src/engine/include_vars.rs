//! `include_vars`: a file, or the files of a folder, as variables of the host.

use super::actions::Action;
use super::execute::{Executed, arguments};
use super::vars_files::vars_of;
use crate::module::Failure;
use crate::playbook::search;
use crate::python::regex::{Flags, Pattern};
use crate::source::{Diag, Kind, Node};
use crate::vars::{VarMap, Variable, combine_merging};
use crate::{secrets, vault};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

const FOR_A_FILE: &[&str] = &["file"];
const FOR_A_FOLDER: &[&str] = &["dir", "depth", "files_matching", "ignore_files", "extensions", "ignore_unknown_extensions"];
const FOR_BOTH: &[&str] = &["name", "hash_behaviour"];

/// What was read so far.
#[derive(Default)]
struct Read {
    files: Vec<PathBuf>,
    pairs: Vec<(Node, Node)>,
    is_secret: bool,
}

impl Action<'_> {
    pub(super) fn include_vars(&self) -> Result<Executed, Diag> {
        let mut read = Read::default();
        let given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        self.check_words(&given)?;
        let args = self.args()?;
        let failed = match args.str("dir") {
            Some(dir) => {
                let filter = Filter::of(&given, &args).map_err(|failure| self.at_argument(failure))?;
                self.read_folder(dir, &filter, &mut read)
            }
            None => self.read_named(args.str("file"), &mut read),
        };
        let name = args.str("name");
        if let Err(message) = failed {
            let mut executed = Executed::failed(message.clone());
            let facts = name.map_or_else(Map::new, |name| Map::from_iter([(name.to_owned(), Map::new().into())]));
            executed.data.insert("message".into(), message.into());
            executed.data.insert("ansible_facts".into(), facts.into());
            executed.data.insert("ansible_included_var_files".into(), read.listed());
            return Ok(executed);
        }
        let span = &self.task_run.task().span;
        let mut vars: VarMap = match name {
            None => vars_of(&read.pairs).collect(),
            Some(name) => VarMap::from([(name.to_owned(), Node::new(Kind::Map(read.pairs.clone()), span.clone()).into())]),
        };
        if args.str("hash_behaviour") == Some("merge") {
            let mut merged: VarMap = vars.keys().filter_map(|name| Some((name.clone(), self.view.get(name)?.clone()))).collect();
            combine_merging(&mut merged, vars);
            vars = merged;
        }
        let facts = as_one(&vars, span);
        let mut executed = Executed { hidden: read.is_secret, ..Executed::default() };
        executed.data.insert("ansible_facts".into(), as_written(&facts));
        executed.data.insert("ansible_included_var_files".into(), read.listed());
        executed.facts_as_written = Some(facts);
        executed.include_vars = vars;
        self.keep(&executed);
        Ok(executed)
    }

    fn check_words(&self, given: &Map<String, Json>) -> Result<(), Diag> {
        let at = |failure: Failure| Err(self.at_argument(failure));
        let is_one_of = |words: &[&str]| given.keys().find(|word| words.contains(&word.as_str()));
        if let Some(word) = given.keys().find(|word| ![FOR_A_FILE, FOR_A_FOLDER, FOR_BOTH].concat().contains(&word.as_str())) {
            return at(Failure::argument(word, format!("{word} is not a valid option in include_vars")));
        }
        match (is_one_of(FOR_A_FILE), is_one_of(FOR_A_FOLDER)) {
            (Some(file), Some(folder)) => {
                let words = format!("`{file}` is for a file and `{folder}` for a folder: these are incompatible");
                at(Failure::argument(folder, words))
            }
            _ => Ok(()),
        }
    }

    fn read_named(&self, file: Option<&str>, read: &mut Read) -> Result<(), String> {
        let Some(file) = file.map(str::trim).filter(|file| !file.is_empty()) else {
            return Err("Could not find file: `include_vars` was given neither `file` nor `dir`".to_owned());
        };
        let path = self.find("vars", file).map_err(|failure| failure.message)?;
        self.read_file(&path, read)
    }

    fn read_file(&self, path: &Path, read: &mut Read) -> Result<(), String> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let node = self.task_run.playing.run.read_vars_file(&path).map_err(|diag| match diag.places.first() {
            Some((span, _)) => format!("{span}: {}", diag.title),
            None => diag.title,
        })?;
        read.is_secret |= node.span.source.is_secret;
        match node.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    match read.pairs.iter_mut().find(|(other, _)| other.as_str() == key.as_str()) {
                        Some(there) => there.1 = value,
                        None => read.pairs.push((key, value)),
                    }
                }
            }
            _ => return Err(format!("'{}' must be stored as a dictionary/hash", path.display())),
        }
        read.files.push(path);
        Ok(())
    }

    /// The files of a folder and those below, folder by folder.
    fn read_folder(&self, dir: &str, filter: &Filter, read: &mut Read) -> Result<(), String> {
        let root = self.vars_folder(dir);
        if !root.exists() {
            return Err(format!("{} directory does not exist", root.display()));
        }
        if !root.is_dir() {
            return Err(format!("{} is not a directory", root.display()));
        }
        let mut folders = Vec::new();
        list(&root, 1, filter.depth, &mut folders)?;
        folders.sort();
        for (_, files) in folders {
            for file in files {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if self.is_main_file(&file) || !filter.wants(&name)? {
                    continue;
                }
                if filter.has_extension(&name) {
                    self.read_file(&file, read)?;
                } else if !filter.ignores_others {
                    let valid = filter.extensions.join(", ");
                    return Err(format!("'{}' does not have a valid extension: {valid}", file.display()));
                }
            }
        }
        Ok(())
    }

    /// A folder belongs to the role's `vars`; without a role it stands beside the file of the task.
    fn vars_folder(&self, dir: &str) -> PathBuf {
        let task = self.task_run.task();
        let base = match &task.role {
            Some(role) if Path::new(dir).components().next().is_some_and(|first| first.as_os_str() == "vars") => role.path.clone(),
            Some(role) => role.path.join("vars"),
            None => Path::new(&task.span.source.name).parent().map(Path::to_owned).unwrap_or_default(),
        };
        let folder = base.join(dir);
        search::tidy(&std::path::absolute(&folder).unwrap_or(folder))
    }

    /// `vars/main.yml` of the role is there anyway.
    fn is_main_file(&self, file: &Path) -> bool {
        self.task_run.task().role.as_ref().is_some_and(|role| {
            let main = role.path.join("vars/main.yml");
            search::tidy(&std::path::absolute(&main).unwrap_or(main)) == file
        })
    }
}

impl Read {
    fn listed(&self) -> Json {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }
}

/// Which files of a folder are read.
struct Filter {
    /// 0: all folders below.
    depth: i64,
    matching: Option<Pattern>,
    ignored: Vec<Pattern>,
    extensions: Vec<String>,
    ignores_others: bool,
}

impl Filter {
    fn of(given: &Map<String, Json>, args: &crate::module::Args) -> Result<Filter, Failure> {
        let pattern = |name: &'static str, pattern: &str| {
            Pattern::new(pattern, Flags::default()).map_err(|err| Failure::argument(name, format!("`{name}` is no pattern: {err}")))
        };
        let list = |name: &'static str| match given.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Array(items)) => {
                Ok(Some(items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect::<Vec<_>>()))
            }
            Some(Json::String(words)) if name == "ignore_files" => Ok(Some(words.split_whitespace().map(str::to_owned).collect())),
            Some(_) => Err(Failure::argument(name, format!("The '{name}' option must be a list."))),
        };
        let ignored = list("ignore_files")?.unwrap_or_default();
        Ok(Filter {
            depth: args.int("depth").unwrap_or(0),
            matching: args.str("files_matching").map(|text| pattern("files_matching", text)).transpose()?,
            ignored: ignored.iter().map(|name| pattern("ignore_files", &format!("{name}$"))).collect::<Result<_, _>>()?,
            extensions: list("extensions")?.unwrap_or_else(|| ["yaml", "yml", "json"].map(str::to_owned).to_vec()),
            ignores_others: args.is("ignore_unknown_extensions"),
        })
    }

    fn wants(&self, name: &str) -> Result<bool, String> {
        if let Some(matching) = &self.matching
            && !matching.is_found(name).map_err(|err| err.to_string())?
        {
            return Ok(false);
        }
        for ignored in &self.ignored {
            if ignored.is_found(name).map_err(|err| err.to_string())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_extension(&self, name: &str) -> bool {
        let extension = Path::new(name).extension().unwrap_or_default().to_string_lossy();
        self.extensions.iter().any(|valid| *valid == extension)
    }
}

/// Every folder from `folder` down to `depth`, with its files in order. Links are followed.
fn list(folder: &Path, level: i64, depth: i64, folders: &mut Vec<(PathBuf, Vec<PathBuf>)>) -> Result<(), String> {
    const DEEPEST: i64 = 100;
    if level > DEEPEST {
        return Err(format!("{} is too deep: a link that leads back?", folder.display()));
    }
    let unreadable = |err: std::io::Error| format!("cannot read the folder {}: {err}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && (depth == 0 || level < depth) {
            list(&path, level + 1, depth, folders)?;
        }
    }
    files.sort();
    folders.push((folder.to_owned(), files));
    Ok(())
}

fn as_one(vars: &VarMap, span: &crate::source::Span) -> Node {
    let pairs = vars.iter().filter_map(|(name, variable)| match variable {
        Variable::Node(node) => Some((Node::string(name.as_str(), span.clone()), Node::clone(node))),
        Variable::Data(_) => None,
    });
    Node::new(Kind::Map(pairs.collect()), span.clone())
}

/// A value for people to see: templates stay as they are written.
fn as_written(node: &Node) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => (*value).into(),
        Kind::Float(value) => (*value).into(),
        Kind::Str(string) => string.text.as_ref().into(),
        Kind::Vault(vaulted) => vault::decrypt_value(vaulted).map_or(secrets::MASK.into(), |text| text.as_ref().into()),
        Kind::Seq(items) => items.iter().map(as_written).collect(),
        Kind::Map(pairs) => {
            pairs.iter().map(|(key, value)| (key.as_str().unwrap_or(key.span.text()).to_owned(), as_written(value))).collect()
        }
    }
}
