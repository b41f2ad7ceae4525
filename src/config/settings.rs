//! The table of settings that are read: Ansible's names, variables and places in the file (`ansible-config list` has the same ones).

/// What a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Text,
    Choice(&'static [&'static str]),
    /// Words with commas.
    List,
    Path,
    /// Paths with colons.
    Paths,
    /// Inventories with commas, or one list of hosts.
    Inventories,
}

#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written. Empty: not set.
    pub default: &'static str,
    pub env: &'static [&'static str],
    /// Sections and keys of the file.
    pub ini: &'static [(&'static str, &'static str)],
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    env: &'static [&'static str],
    ini: &'static [(&'static str, &'static str)],
) -> Setting {
    Setting { name, kind, default, env, ini }
}

use Kind::{Bool, Choice, Int, Inventories, List, Path, Paths, Text};

/// In alphabetical order.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    setting("ANY_ERRORS_FATAL", Bool, "false", &["ANSIBLE_ANY_ERRORS_FATAL"], &[("defaults", "any_errors_fatal")]),
    setting("ASYNC_DIR", Text, "~/.ansible_async", &["ANSIBLE_ASYNC_DIR"], &[("defaults", "async_dir")]),
    setting("BECOME_PASSWORD_FILE", Path, "", &["ANSIBLE_BECOME_PASSWORD_FILE"], &[("defaults", "become_password_file")]),
    setting("CACHE_PLUGIN", Text, "memory", &["ANSIBLE_CACHE_PLUGIN"], &[("defaults", "fact_caching")]),
    setting("CACHE_PLUGIN_CONNECTION", Text, "", &["ANSIBLE_CACHE_PLUGIN_CONNECTION"], &[("defaults", "fact_caching_connection")]),
    setting("CACHE_PLUGIN_PREFIX", Text, "ansible_facts", &["ANSIBLE_CACHE_PLUGIN_PREFIX"], &[("defaults", "fact_caching_prefix")]),
    setting("CACHE_PLUGIN_TIMEOUT", Int, "86400", &["ANSIBLE_CACHE_PLUGIN_TIMEOUT"], &[("defaults", "fact_caching_timeout")]),
    setting("CALLBACK_FORMAT_PRETTY", Bool, "", &["ANSIBLE_CALLBACK_FORMAT_PRETTY"], &[("defaults", "callback_format_pretty")]),
    setting("CALLBACK_RESULT_FORMAT", Choice(&["json", "yaml"]), "json", &["ANSIBLE_CALLBACK_RESULT_FORMAT"], &[("defaults", "callback_result_format")]),
    setting("CALLBACK_RESULT_INDENTATION", Int, "4", &["ANSIBLE_CALLBACK_RESULT_INDENTATION"], &[("defaults", "callback_result_indentation")]),
    setting("CALLBACK_YAML_LINE_WIDTH", Choice(&["default", "no-break", "terminal-width"]), "default", &["ANSIBLE_CALLBACK_YAML_LINE_WIDTH"], &[("defaults", "callback_result_yaml_line_width")]),
    setting("CHECK_MODE_MARKERS", Bool, "false", &["ANSIBLE_CHECK_MODE_MARKERS"], &[("defaults", "check_mode_markers")]),
    setting("COLLECTIONS_PATHS", Paths, "~/.ansible/collections:/usr/share/ansible/collections", &["ANSIBLE_COLLECTIONS_PATH"], &[("defaults", "collections_path")]),
    setting("CONNECTION_PASSWORD_FILE", Path, "", &["ANSIBLE_CONNECTION_PASSWORD_FILE"], &[("defaults", "connection_password_file")]),
    setting("DEFAULT_ASK_PASS", Bool, "false", &["ANSIBLE_ASK_PASS"], &[("defaults", "ask_pass")]),
    setting("DEFAULT_ASK_VAULT_PASS", Bool, "false", &["ANSIBLE_ASK_VAULT_PASS"], &[("defaults", "ask_vault_pass")]),
    setting("DEFAULT_BECOME", Bool, "false", &["ANSIBLE_BECOME"], &[("privilege_escalation", "become")]),
    setting("DEFAULT_BECOME_ASK_PASS", Bool, "false", &["ANSIBLE_BECOME_ASK_PASS"], &[("privilege_escalation", "become_ask_pass")]),
    setting("DEFAULT_BECOME_EXE", Text, "", &["ANSIBLE_BECOME_EXE"], &[("privilege_escalation", "become_exe")]),
    setting("DEFAULT_BECOME_FLAGS", Text, "", &["ANSIBLE_BECOME_FLAGS"], &[("privilege_escalation", "become_flags")]),
    setting("DEFAULT_BECOME_METHOD", Choice(&["sudo", "su"]), "sudo", &["ANSIBLE_BECOME_METHOD"], &[("privilege_escalation", "become_method")]),
    setting("DEFAULT_BECOME_USER", Text, "", &["ANSIBLE_BECOME_USER"], &[("privilege_escalation", "become_user")]),
    setting("DEFAULT_FORCE_HANDLERS", Bool, "false", &["ANSIBLE_FORCE_HANDLERS"], &[("defaults", "force_handlers")]),
    setting("DEFAULT_FORKS", Int, "50", &["ANSIBLE_FORKS"], &[("defaults", "forks")]),
    setting("DEFAULT_GATHERING", Choice(&["implicit", "explicit", "smart"]), "implicit", &["ANSIBLE_GATHERING"], &[("defaults", "gathering")]),
    setting("DEFAULT_HASH_BEHAVIOUR", Choice(&["replace", "merge"]), "replace", &["ANSIBLE_HASH_BEHAVIOUR"], &[("defaults", "hash_behaviour")]),
    setting("DEFAULT_HOST_LIST", Inventories, "/etc/ansible/hosts", &["ANSIBLE_INVENTORY"], &[("defaults", "inventory")]),
    setting("DEFAULT_LOAD_CALLBACK_PLUGINS", Bool, "false", &["ANSIBLE_LOAD_CALLBACK_PLUGINS"], &[("defaults", "bin_ansible_callbacks")]),
    setting("DEFAULT_MODULE_ARGS", Text, "", &["ANSIBLE_MODULE_ARGS"], &[("defaults", "module_args")]),
    setting("DEFAULT_MODULE_NAME", Text, "command", &[], &[("defaults", "module_name")]),
    setting("DEFAULT_POLL_INTERVAL", Int, "15", &["ANSIBLE_POLL_INTERVAL"], &[("defaults", "poll_interval")]),
    setting("DEFAULT_PRIVATE_KEY_FILE", Path, "", &["ANSIBLE_PRIVATE_KEY_FILE"], &[("defaults", "private_key_file")]),
    setting("DEFAULT_PRIVATE_ROLE_VARS", Bool, "false", &["ANSIBLE_PRIVATE_ROLE_VARS"], &[("defaults", "private_role_vars")]),
    setting("DEFAULT_REMOTE_PORT", Int, "", &["ANSIBLE_REMOTE_PORT"], &[("defaults", "remote_port")]),
    setting("DEFAULT_REMOTE_USER", Text, "", &["ANSIBLE_REMOTE_USER"], &[("defaults", "remote_user")]),
    setting("DEFAULT_ROLES_PATH", Paths, "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles", &["ANSIBLE_ROLES_PATH"], &[("defaults", "roles_path")]),
    setting("DEFAULT_STDOUT_CALLBACK", Text, "default", &["ANSIBLE_STDOUT_CALLBACK"], &[("defaults", "stdout_callback")]),
    setting("DEFAULT_STRATEGY", Text, "linear", &["ANSIBLE_STRATEGY"], &[("defaults", "strategy")]),
    setting("DEFAULT_TIMEOUT", Int, "10", &["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"], &[("defaults", "timeout"), ("ssh_connection", "timeout")]),
    setting("DEFAULT_TRANSPORT", Text, "ssh", &["ANSIBLE_TRANSPORT"], &[("defaults", "transport")]),
    setting("DEFAULT_VAULT_ENCRYPT_IDENTITY", Text, "", &["ANSIBLE_VAULT_ENCRYPT_IDENTITY"], &[("defaults", "vault_encrypt_identity")]),
    setting("DEFAULT_VAULT_IDENTITY", Text, "default", &["ANSIBLE_VAULT_IDENTITY"], &[("defaults", "vault_identity")]),
    setting("DEFAULT_VAULT_IDENTITY_LIST", List, "", &["ANSIBLE_VAULT_IDENTITY_LIST"], &[("defaults", "vault_identity_list")]),
    setting("DEFAULT_VAULT_ID_MATCH", Bool, "false", &["ANSIBLE_VAULT_ID_MATCH"], &[("defaults", "vault_id_match")]),
    setting("DEFAULT_VAULT_PASSWORD_FILE", Path, "", &["ANSIBLE_VAULT_PASSWORD_FILE"], &[("defaults", "vault_password_file")]),
    setting("DEFAULT_VERBOSITY", Int, "0", &["ANSIBLE_VERBOSITY"], &[("defaults", "verbosity")]),
    setting("DIFF_ALWAYS", Bool, "false", &["ANSIBLE_DIFF_ALWAYS"], &[("diff", "always")]),
    setting("DIFF_CONTEXT", Int, "3", &["ANSIBLE_DIFF_CONTEXT"], &[("diff", "context")]),
    setting("DISPLAY_FAILED_STDERR", Bool, "false", &["ANSIBLE_DISPLAY_FAILED_STDERR"], &[("defaults", "display_failed_stderr")]),
    setting("DISPLAY_INCLUDED_HOSTS", Bool, "true", &["ANSIBLE_DISPLAY_INCLUDED_HOSTS"], &[("defaults", "display_included_hosts")]),
    setting("DISPLAY_OK_HOSTS", Bool, "true", &["ANSIBLE_DISPLAY_OK_HOSTS"], &[("defaults", "display_ok_hosts")]),
    setting("DISPLAY_SKIPPED_HOSTS", Bool, "true", &["ANSIBLE_DISPLAY_SKIPPED_HOSTS"], &[("defaults", "display_skipped_hosts")]),
    setting("DUPLICATE_YAML_DICT_KEY", Choice(&["warn", "error", "ignore"]), "warn", &["ANSIBLE_DUPLICATE_YAML_DICT_KEY"], &[("defaults", "duplicate_dict_key")]),
    setting("EDITOR", Text, "", &["ANSIBLE_EDITOR", "EDITOR"], &[("defaults", "editor")]),
    setting("ERROR_ON_MISSING_HANDLER", Bool, "true", &["ANSIBLE_ERROR_ON_MISSING_HANDLER"], &[("defaults", "error_on_missing_handler")]),
    setting("FORCE_COLOR", Bool, "false", &["ANSIBLE_FORCE_COLOR"], &[("defaults", "force_color")]),
    setting("HOST_KEY_CHECKING", Bool, "true", &["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"], &[("defaults", "host_key_checking"), ("ssh_connection", "host_key_checking")]),
    setting("HOST_PATTERN_MISMATCH", Choice(&["warning", "error", "ignore"]), "warning", &["ANSIBLE_HOST_PATTERN_MISMATCH"], &[("inventory", "host_pattern_mismatch")]),
    setting("INJECT_INVOCATION", Bool, "false", &["ANSIBLE_INJECT_INVOCATION"], &[("defaults", "inject_invocation")]),
    setting("INVENTORY_ANY_UNPARSED_IS_FAILED", Bool, "false", &["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"], &[("inventory", "any_unparsed_is_failed")]),
    setting("INVENTORY_ENABLED", List, "host_list, script, auto, yaml, ini, toml", &["ANSIBLE_INVENTORY_ENABLED"], &[("inventory", "enable_plugins")]),
    setting("INVENTORY_EXPORT", Bool, "false", &["ANSIBLE_INVENTORY_EXPORT"], &[("inventory", "export")]),
    setting("INVENTORY_IGNORE_EXTS", List, ".pyc, .pyo, .swp, .bak, ~, .rpm, .md, .txt, .rst, .orig, .cfg, .retry", &["ANSIBLE_INVENTORY_IGNORE"], &[("inventory", "ignore_extensions")]),
    setting("INVENTORY_IGNORE_PATTERNS", List, "", &["ANSIBLE_INVENTORY_IGNORE_REGEX"], &[("inventory", "ignore_patterns")]),
    setting("INVENTORY_PLUGIN_EXTS", List, ".yaml, .yml, .json", &["ANSIBLE_INVENTORY_PLUGIN_EXTS"], &[("inventory_plugin_yaml", "yaml_valid_extensions")]),
    setting("INVENTORY_SCRIPT_STDERR", Bool, "true", &["ANSIBLE_INVENTORY_PLUGIN_SCRIPT_STDERR"], &[("inventory_plugin_script", "always_show_stderr")]),
    setting("INVENTORY_UNPARSED_IS_FAILED", Bool, "false", &["ANSIBLE_INVENTORY_UNPARSED_FAILED"], &[("inventory", "unparsed_is_failed")]),
    setting("INVENTORY_UNPARSED_WARNING", Bool, "true", &["ANSIBLE_INVENTORY_UNPARSED_WARNING"], &[("inventory", "inventory_unparsed_warning")]),
    setting("INVENTORY_USE_EXTRA_VARS", Bool, "false", &["ANSIBLE_INVENTORY_USE_EXTRA_VARS"], &[("inventory_plugins", "use_extra_vars")]),
    setting("LOCALHOST_WARNING", Bool, "true", &["ANSIBLE_LOCALHOST_WARNING"], &[("defaults", "localhost_warning")]),
    setting("NODEWRIGHT_RECONNECT_FOR", Int, "300", &["NODEWRIGHT_RECONNECT_FOR"], &[("nodewright", "reconnect_for")]),
    setting("NOCOLOR", Bool, "false", &["ANSIBLE_NOCOLOR"], &[("defaults", "nocolor")]),
    setting("PAGER", Text, "", &["ANSIBLE_PAGER", "PAGER"], &[("defaults", "pager")]),
    setting("PLAYBOOK_DIR", Path, "", &["ANSIBLE_PLAYBOOK_DIR"], &[("defaults", "playbook_dir")]),
    setting("SHOW_CUSTOM_STATS", Bool, "false", &["ANSIBLE_SHOW_CUSTOM_STATS"], &[("defaults", "show_custom_stats")]),
    setting("SHOW_PER_HOST_START", Bool, "false", &["ANSIBLE_SHOW_PER_HOST_START"], &[("defaults", "show_per_host_start")]),
    setting("SHOW_TASK_PATH_ON_FAILURE", Bool, "false", &["ANSIBLE_SHOW_TASK_PATH_ON_FAILURE"], &[("defaults", "show_task_path_on_failure")]),
    setting("SSH_ARGS", Text, "", &["ANSIBLE_SSH_ARGS"], &[("ssh_connection", "ssh_args")]),
    setting("SSH_COMMON_ARGS", Text, "", &["ANSIBLE_SSH_COMMON_ARGS"], &[("ssh_connection", "ssh_common_args")]),
    setting("SSH_EXTRA_ARGS", Text, "", &["ANSIBLE_SSH_EXTRA_ARGS"], &[("ssh_connection", "ssh_extra_args")]),
    setting("SSH_RETRIES", Int, "", &["ANSIBLE_SSH_RETRIES"], &[("connection", "retries"), ("ssh_connection", "retries")]),
    setting("TAGS_RUN", List, "", &["ANSIBLE_RUN_TAGS"], &[("tags", "run")]),
    setting("TAGS_SKIP", List, "", &["ANSIBLE_SKIP_TAGS"], &[("tags", "skip")]),
    setting("TASK_TIMEOUT", Int, "0", &["ANSIBLE_TASK_TIMEOUT"], &[("defaults", "task_timeout")]),
    setting("TRANSFORM_INVALID_GROUP_CHARS", Choice(&["always", "never", "ignore", "silently"]), "never", &["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS"], &[("defaults", "force_valid_group_names")]),
    setting("VAULT_ENCRYPT_SALT", Text, "", &["ANSIBLE_VAULT_ENCRYPT_SALT"], &[("defaults", "vault_encrypt_salt")]),
    setting("_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR", Choice(&["ignore", "warning", "fail"]), "ignore", &["_ANSIBLE_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR"], &[]),
];
