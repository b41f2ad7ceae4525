//! Who tells of a run: the output that `stdout_callback` chooses, and what `callbacks_enabled` adds to it.

use super::Manner;
use super::run::{style, yaml};
use crate::config::Config;
use crate::engine::Settings;
use crate::report::{
    Accompanied, DATETIME_FORMAT, Form, JsonLines, Junit, Lines, Minimal, Order, Plain, ProfileRoles, ProfileTasks, ReportWanted, Sink,
    TasksWanted, Terminal, Timer, ToLines, Tree,
};
use crate::source::Diag;
use anyhow::bail;
use std::io::IsTerminal;

/// Collections that have callbacks; a name may go without.
const COLLECTIONS: [&str; 3] = ["ansible.builtin.", "ansible.posix.", "community.general."];
/// Main outputs of Ansible's that show to people what `default` shows, in another form.
const OTHER_FORMS: [&str; 14] = [
    "actionable",
    "counter_enabled",
    "debug",
    "default_without_diff",
    "dense",
    "diy",
    "full_skip",
    "null",
    "selective",
    "skippy",
    "stderr",
    "tasks_only",
    "timestamp",
    "unixy",
];
/// Main outputs that programs read.
const FOR_PROGRAMS: [&str; 2] = ["json", "jsonl"];

/// The form of the main output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Main {
    Default,
    /// As `default`, with results as YAML.
    Yaml,
    Minimal(Form),
}

/// The sinks of a run of playbooks.
///
/// # Errors
/// `stdout_callback` names what is not there.
pub fn of_playbooks(output: &str, settings: &Settings, manner: Manner, warnings: &mut Vec<Diag>) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    if output == "json" {
        // What is read line by line has no place for theirs.
        let beside = enabled(settings, manner, warnings).sinks;
        return Ok(std::iter::once(Box::new(JsonLines::new(std::io::stdout())) as Box<dyn Sink>).chain(beside).collect());
    }
    let main = main_output(&settings.config, warnings)?;
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_seen = std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !dumb;
    let is_live = output == "auto" && manner == Manner::Own && is_seen && style(settings, manner).colour;
    Ok(sinks(main, is_live, Some(enabled(settings, manner, warnings)), settings, manner))
}

/// The sinks of an ad-hoc command. What the settings say of callbacks counts where they say that it does.
///
/// # Errors
/// As [`of_playbooks`].
pub fn of_adhoc(one_line: bool, settings: &Settings, manner: Manner, warnings: &mut Vec<Diag>) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    let are_loaded = settings.config.flag("DEFAULT_LOAD_CALLBACK_PLUGINS");
    let main = match one_line {
        true => Main::Minimal(Form::OneLine),
        false if are_loaded && settings.config.text("DEFAULT_STDOUT_CALLBACK") != Some("default") => {
            main_output(&settings.config, warnings)?
        }
        false => Main::Minimal(Form::Minimal),
    };
    Ok(sinks(main, false, are_loaded.then(|| enabled(settings, manner, warnings)), settings, manner))
}

fn sinks(main: Main, is_live: bool, enabled: Option<Enabled>, settings: &Settings, manner: Manner) -> Vec<Box<dyn Sink>> {
    let mut style = style(settings, manner);
    if main == Main::Yaml {
        style.dump.format = yaml(&settings.config);
    }
    let Enabled { lines: more, sinks: beside } = enabled.unwrap_or_default();
    let mut lines: Box<dyn ToLines + Send> = match main {
        Main::Default | Main::Yaml => Box::new(Lines::new(style)),
        Main::Minimal(form) => Box::new(Minimal::new(form, style)),
    };
    if !more.is_empty() {
        lines = Box::new(Accompanied::new(lines, more));
    }
    let shown: Box<dyn Sink> = if is_live && !matches!(main, Main::Minimal(_)) {
        console::set_colors_enabled(true);
        Box::new(Terminal::new(lines))
    } else {
        Box::new(Plain::new(std::io::stdout(), std::io::stderr(), lines))
    };
    std::iter::once(shown).chain(beside).collect()
}

fn short(name: &str) -> &str {
    COLLECTIONS.iter().find_map(|collection| name.strip_prefix(collection)).unwrap_or(name)
}

fn main_output(config: &Config, warnings: &mut Vec<Diag>) -> anyhow::Result<Main> {
    let name = config.text("DEFAULT_STDOUT_CALLBACK").unwrap_or("default");
    Ok(match short(name) {
        "default" => Main::Default,
        "minimal" => Main::Minimal(Form::Minimal),
        "oneline" => Main::Minimal(Form::OneLine),
        "yaml" => {
            let words = "Ansible has no stdout_callback `yaml` any more: results are shown as with `callback_result_format = yaml`";
            warnings.push(Diag::warning(words));
            Main::Yaml
        }
        other if OTHER_FORMS.contains(&other) => {
            warnings.push(Diag::warning(format!("there is no stdout_callback `{name}` here: the output is that of `default`")));
            Main::Default
        }
        other if FOR_PROGRAMS.contains(&other) => {
            bail!("there is no stdout_callback `{name}` here; `--output json` tells of a run in one event per line")
        }
        _ => bail!("Could not load '{name}' callback plugin."),
    })
}

/// What callbacks add: to the lines of the main output, and beside it.
#[derive(Default)]
struct Enabled {
    lines: Vec<Box<dyn ToLines + Send>>,
    sinks: Vec<Box<dyn Sink>>,
}

/// The callbacks that are enabled, each once, in order. What cannot be is a warning, as in Ansible.
fn enabled(settings: &Settings, manner: Manner, warnings: &mut Vec<Diag>) -> Enabled {
    let config = &settings.config;
    let mut enabled = Enabled::default();
    let mut seen = Vec::new();
    for name in config.list("CALLBACKS_ENABLED") {
        let short = short(name);
        if seen.contains(&short) {
            continue;
        }
        seen.push(short);
        let none = |words: String| Diag::warning(format!("Failed to load callback plugin '{name}': {words}"));
        match short {
            "timer" => enabled.lines.push(Box::<Timer>::default()),
            "profile_tasks" => match tasks_wanted(config, settings.verbosity) {
                Ok(wanted) => enabled.lines.push(Box::new(ProfileTasks::new(wanted))),
                Err(words) => warnings.push(none(words)),
            },
            "profile_roles" => enabled.lines.push(Box::new(ProfileRoles::new(config.flag("PROFILE_ROLES_SUMMARY_ONLY")))),
            "tree" => match config.path("CALLBACK_TREE_DIR") {
                Some(dir) => enabled.sinks.push(Box::new(Tree::new(&dir, style(settings, manner).dump))),
                None => warnings.push(none("it has no directory".to_owned())),
            },
            "junit" => {
                if !config.flag("JUNIT_HIDE_TASK_ARGUMENTS") {
                    warnings.push(Diag::warning(
                        "JUNIT_HIDE_TASK_ARGUMENTS is always set: a report's cases are named without the tasks' arguments",
                    ));
                }
                enabled.sinks.push(Box::new(Junit::new(report_wanted(config))));
            }
            // There is one main output, and this is not how it is chosen.
            "default" | "minimal" | "oneline" | "yaml" => {}
            other if OTHER_FORMS.contains(&other) || FOR_PROGRAMS.contains(&other) => {}
            _ => warnings.push(Diag::warning(format!(
                "Skipping callback plugin '{name}', unable to load; there are junit, profile_roles, profile_tasks, timer and tree"
            ))),
        }
    }
    enabled
}

fn report_wanted(config: &Config) -> ReportWanted {
    ReportWanted {
        dir: config.path("JUNIT_OUTPUT_DIR").unwrap_or_default(),
        class_is_file: config.flag("JUNIT_TASK_CLASS"),
        relative_to: config.path("JUNIT_TASK_RELATIVE_PATH"),
        instead_of_way: config.text("JUNIT_REPLACE_OUT_OF_TREE_PATH").map(str::to_owned),
        fail_on_change: config.flag("JUNIT_FAIL_ON_CHANGE"),
        fail_on_ignore: config.flag("JUNIT_FAIL_ON_IGNORE"),
        without_setup: !config.flag("JUNIT_INCLUDE_SETUP_TASKS_IN_REPORT"),
        prefix: config.text("JUNIT_TEST_CASE_PREFIX").unwrap_or_default().to_owned(),
    }
}

fn tasks_wanted(config: &Config, verbosity: u8) -> Result<TasksWanted, String> {
    let order = match config.text("PROFILE_TASKS_SORT_ORDER") {
        None | Some("descending") => Order::LongestFirst,
        Some("ascending") => Order::ShortestFirst,
        Some("none") => Order::AsTheyBegan,
        Some(other) => return Err(format!("sort_order is descending, ascending or none, not `{other}`")),
    };
    let limit = match config.text("PROFILE_TASKS_TASK_OUTPUT_LIMIT") {
        Some("all") => None,
        Some(text) => Some(text.parse().map_err(|_| format!("task_output_limit is a number or `all`, not `{text}`"))?),
        None => Some(20),
    };
    let datetime_format = match config.text("PROFILE_TASKS_DATETIME_FORMAT") {
        None => DATETIME_FORMAT,
        Some("iso8601") => "%Y-%m-%dT%H:%M:%S.%f",
        Some(format) => format,
    };
    Ok(TasksWanted {
        order,
        limit,
        summary_only: config.flag("PROFILE_TASKS_SUMMARY_ONLY"),
        datetime_format: datetime_format.to_owned(),
        places: verbosity >= 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn with(env: &[(&str, &str)]) -> Settings {
        let value = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::new(Arc::new(Config::of(&value).expect("a configuration")))
    }

    #[test]
    fn each_is_enabled_once_and_what_cannot_be_is_told() {
        let names = "timer, nosuch,ansible.posix.timer,community.general.profile_tasks,default,dense,tree";
        let settings = with(&[("ANSIBLE_CALLBACKS_ENABLED", names), ("PROFILE_TASKS_TASK_OUTPUT_LIMIT", "many")]);
        let mut warnings = Vec::new();
        let enabled = enabled(&settings, Manner::Own, &mut warnings);
        assert_eq!((enabled.lines.len(), enabled.sinks.len()), (1, 1));
        let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(told.len() == 2 && told[0].contains("'nosuch'") && told[1].contains("not `many`"), "{told:?}");
    }

    #[test]
    fn the_main_output_is_there_or_refused() {
        let chosen = |name| {
            let mut warnings = Vec::new();
            (main_output(&with(&[("ANSIBLE_STDOUT_CALLBACK", name)]).config, &mut warnings).ok(), warnings.len())
        };
        let names = ["", "ansible.builtin.oneline", "community.general.yaml", "debug", "ansible.posix.json", "nosuch"];
        let expected = [
            (Some(Main::Default), 0),
            (Some(Main::Minimal(Form::OneLine)), 0),
            (Some(Main::Yaml), 1),
            (Some(Main::Default), 1),
            (None, 0),
            (None, 0),
        ];
        assert_eq!(names.map(chosen), expected);
    }
}
