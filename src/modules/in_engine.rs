//! Modules that never leave the controller, or that are the engine's own business: their arguments. What they do is in `engine/actions`.

use crate::module::{FreeForm, Param, ParamKind, Spec};

const fn spec(name: &'static str, params: &'static [Param], free_form: FreeForm) -> Spec {
    Spec { name, aliases: &[], params, free_form }
}

pub static IN_ENGINE: &[Spec] = &[
    spec(
        "ansible.builtin.add_host",
        &[Param::str("name").required().alias(&["host", "hostname"]), Param::list("groups").alias(&["group", "groupname"])],
        FreeForm::None,
    ),
    spec(
        "ansible.builtin.assert",
        &[
            Param::raw("that").required(),
            Param::raw("msg").alias(&["fail_msg"]),
            Param::raw("success_msg"),
            Param::bool("quiet").default("false"),
        ],
        FreeForm::None,
    ),
    spec(
        "ansible.builtin.async_status",
        &[Param::str("jid").required(), Param::str("mode").default("status").choices(&["status", "cleanup"])],
        FreeForm::None,
    ),
    spec("ansible.builtin.debug", &[Param::raw("msg"), Param::str("var"), Param::int("verbosity").default("0")], FreeForm::None),
    spec("ansible.builtin.fail", &[Param::raw("msg").default("Failed as requested from task")], FreeForm::None),
    spec("ansible.builtin.group_by", &[Param::str("key").required(), Param::list("parents").default("all")], FreeForm::None),
    spec(
        "ansible.builtin.include_vars",
        &[
            Param::path("file"),
            Param::path("dir"),
            Param::str("name"),
            Param::int("depth").default("0"),
            Param::str("files_matching"),
            Param::raw("ignore_files"),
            Param::raw("extensions"),
            Param::bool("ignore_unknown_extensions").default("false"),
            Param::str("hash_behaviour").choices(&["merge", "replace"]),
        ],
        FreeForm::Param("file"),
    ),
    spec("ansible.builtin.import_tasks", INCLUDE_TASKS, FreeForm::Param("file")),
    spec("ansible.builtin.include_tasks", INCLUDE_TASKS, FreeForm::Param("file")),
    spec("ansible.builtin.import_role", INCLUDE_ROLE, FreeForm::None),
    spec("ansible.builtin.include_role", INCLUDE_ROLE, FreeForm::None),
    spec(
        "ansible.builtin.set_stats",
        &[Param::raw("data"), Param::raw("per_host").default("false"), Param::raw("aggregate").default("true")],
        FreeForm::None,
    ),
    spec("ansible.builtin.meta", &[Param::str("action").required().choices(META)], FreeForm::Param("action")),
    spec(
        "ansible.builtin.pause",
        &[Param::int("seconds"), Param::int("minutes"), Param::str("prompt"), Param::bool("echo").default("true")],
        FreeForm::None,
    ),
    spec(
        "ansible.builtin.reboot",
        &[
            Param::int("pre_reboot_delay").default("0").alias(&["pre_reboot_delay_sec"]),
            Param::int("post_reboot_delay").default("0").alias(&["post_reboot_delay_sec"]),
            Param::int("reboot_timeout").default("600").alias(&["reboot_timeout_sec"]),
            Param::str("test_command").default("whoami"),
            Param::str("msg").default("Reboot initiated by nodewright"),
            Param::str("reboot_command"),
            Param::str("boot_time_command").default("cat /proc/sys/kernel/random/boot_id"),
        ],
        FreeForm::None,
    ),
    // Its parameters are the user's own names: whatever is given becomes a fact.
    spec("ansible.builtin.set_fact", &[Param::new("cacheable", ParamKind::Bool).default("false")], FreeForm::None),
    spec(
        "ansible.builtin.validate_argument_spec",
        &[Param::raw("argument_spec").required(), Param::raw("provided_arguments"), Param::raw("validate_args_context")],
        FreeForm::None,
    ),
    spec(
        "ansible.builtin.wait_for_connection",
        &[Param::int("delay").default("0"), Param::int("sleep").default("1"), Param::int("timeout").default("600")],
        FreeForm::None,
    ),
];

const META: &[&str] = &[
    "flush_handlers",
    "noop",
    "clear_facts",
    "clear_host_errors",
    "end_play",
    "end_host",
    "end_batch",
    "end_role",
    "refresh_inventory",
    "reset_connection",
];

const INCLUDE_TASKS: &[Param] = &[Param::path("file").required(), Param::dict("apply")];

const INCLUDE_ROLE: &[Param] = &[
    Param::str("name").required().alias(&["role"]),
    Param::str("tasks_from").default("main"),
    Param::str("vars_from").default("main"),
    Param::str("defaults_from").default("main"),
    Param::str("handlers_from").default("main"),
    Param::bool("allow_duplicates").default("true"),
    Param::bool("public"),
    Param::bool("rolespec_validate").default("true"),
    Param::dict("apply"),
];

/// Modules of [`IN_ENGINE`] whose parameters are whatever the user names: the check of unknown arguments passes them over.
pub const TAKES_ANY_PARAMETER: &[&str] = &["ansible.builtin.set_fact", "ansible.builtin.add_host"];
