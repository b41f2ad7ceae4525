//! Content of kubespray's size, the same every time: 1,400 tasks and 5,000 expressions in 56 roles, with defaults, group_vars and six hosts.
//! Made of what such content is made of: packages, files, templates, commands with conditions, loops, services, facts that are set.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

const ROLES: usize = 56;
const FILES_PER_ROLE: usize = 5;
const TASKS_PER_FILE: usize = 5;
const GROUP_VARIABLES: usize = 240;

/// What was written.
#[derive(Default)]
pub struct Written {
    pub tasks: usize,
    pub expressions: usize,
}

/// Writes the content below `folder`: `site.yaml`, `inventory.yaml`, `group_vars`, `roles`.
pub fn write(folder: &Path) -> io::Result<Written> {
    let mut written = Written::default();
    put(&folder.join("inventory.yaml"), &inventory())?;
    for (group, part) in [("all", 0), ("control_plane", 1), ("workers", 2)] {
        put(&folder.join("group_vars").join(group).join("main.yaml"), &group_variables(part, &mut written))?;
    }
    let mut site = String::new();
    for (number, hosts) in ["all", "control_plane", "workers", "etcd"].iter().enumerate() {
        let _ = write!(site, "- name: Part {number}\n  hosts: {hosts}\n  become: true\n  gather_facts: false\n  roles:\n");
        for role in (number * ROLES / 4)..((number + 1) * ROLES / 4) {
            let _ = writeln!(site, "    - {{role: part_{role}, tags: [part{role}]}}");
        }
    }
    put(&folder.join("site.yaml"), &site)?;
    for role in 0..ROLES {
        write_role(&folder.join("roles").join(format!("part_{role}")), role, &mut written)?;
    }
    Ok(written)
}

impl Written {
    /// An expression as a quoted scalar.
    fn filled(&mut self, expression: &str) -> String {
        self.expressions += 1;
        format!("\"{{{{ {expression} }}}}\"")
    }

    /// A condition, which stands without braces.
    fn bare(&mut self, expression: &str) -> String {
        self.expressions += 1;
        expression.to_owned()
    }
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("files lie in a folder"))?;
    fs::write(path, text)
}

fn inventory() -> String {
    let mut text = String::from("all:\n  hosts:\n");
    for host in 1..=6 {
        let _ = writeln!(text, "    node{host}: {{ansible_host: 192.0.2.{host}, ip: 10.3.0.{host}, access_ip: 10.3.0.{host}}}");
    }
    text.push_str("  children:\n    control_plane: {hosts: {node1: , node2: , node3: }}\n");
    text.push_str("    etcd: {hosts: {node1: , node2: , node3: }}\n    workers: {hosts: {node4: , node5: , node6: }}\n");
    text
}

fn group_variables(part: usize, written: &mut Written) -> String {
    let mut text = String::from("---\n");
    for index in 0..GROUP_VARIABLES / 3 {
        let own = format!("setting_{part}_{index}");
        let _ = match index % 8 {
            0 => writeln!(text, "# Where component {index} lives.\n{own}: /opt/component/{index}"),
            1 => writeln!(text, "{own}: {}", written.filled(&format!("setting_{part}_{} ~ '/bin'", index - 1))),
            2 => writeln!(text, "{own}: {}", index % 16 == 2),
            3 => writeln!(text, "{own}: [alpha-{index}, beta-{index}, gamma-{index}]"),
            4 => writeln!(text, "{own}:\n  version: 1.{index}.3\n  port: {}\n  arguments: {{level: {index}, verbose: no}}", 6000 + index),
            5 => writeln!(text, "{own}: {}", written.filled(&format!("setting_{part}_{}.version | regex_replace('^v', '')", index - 1))),
            6 => writeln!(text, "{own}: >-\n  {}\n  --quiet", written.filled(&format!("setting_{part}_{} | join(',')", index - 3))),
            _ => writeln!(text, "{own}: \"{index}\""),
        };
    }
    text
}

fn write_role(folder: &Path, role: usize, written: &mut Written) -> io::Result<()> {
    let mut defaults = String::from("---\n");
    for index in 0..24 {
        let own = format!("part_{role}_{index}");
        let _ = match index % 6 {
            0 => writeln!(defaults, "{own}: v1.{index}.{role}"),
            1 => writeln!(defaults, "{own}: {}", written.filled(&format!("setting_0_0 ~ '/{role}/' ~ part_{role}_{}", index - 1))),
            2 => writeln!(defaults, "{own}: {}", index % 12 == 2),
            3 => writeln!(
                defaults,
                "{own}:\n  - {{name: one, path: /srv/{role}/one, mode: '0640'}}\n  - {{name: two, path: /srv/{role}/two, mode: '0600'}}"
            ),
            4 => writeln!(defaults, "{own}: {{port: {}, host: \"127.0.0.1\", level: {role}}}", 7000 + index),
            _ => writeln!(defaults, "{own}: [{role}, {index}, 3]"),
        };
    }
    put(&folder.join("defaults/main.yaml"), &defaults)?;
    put(
        &folder.join("handlers/main.yaml"),
        &format!(
            "- name: Restart part {role}\n  ansible.builtin.systemd_service: {{name: part-{role}, state: restarted, daemon_reload: true}}\n"
        ),
    )?;
    let mut main = String::new();
    for file in 0..FILES_PER_ROLE {
        let _ = writeln!(main, "- name: Step {file} of part {role}\n  ansible.builtin.import_tasks: step_{file}.yaml");
        let mut tasks = String::from("---\n");
        for index in 0..TASKS_PER_FILE {
            let number = (role * FILES_PER_ROLE + file) * TASKS_PER_FILE + index;
            write_task(&mut tasks, role, number, written);
        }
        put(&folder.join(format!("tasks/step_{file}.yaml")), &tasks)?;
    }
    put(&folder.join("tasks/main.yaml"), &main)?;
    written.expressions += 5;
    let mut template =
        format!("# Part {role}\n{{% for entry in part_{role}_3 %}}\n{{{{ entry.name }}}} {{{{ entry.path }}}}\n{{% endfor %}}\n");
    let _ = writeln!(template, "{{% if part_{role}_2 | bool %}}\nport = {{{{ part_{role}_4.port }}}}\n{{% endif %}}");
    put(&folder.join("templates/part.conf.j2"), &template)
}

/// A task of one of ten kinds.
fn write_task(text: &mut String, role: usize, number: usize, written: &mut Written) {
    let v = |index: usize| format!("part_{role}_{index}");
    written.tasks += 1;
    let _ = writeln!(text, "- name: Task {number} of part {role}");
    let mut line = |words: String| {
        let _ = writeln!(text, "  {words}");
    };
    match number % 10 {
        0 => {
            line("ansible.builtin.template:".to_owned());
            line("  src: part.conf.j2".to_owned());
            line(format!("  dest: {}", written.filled(&format!("{} ~ '/part-{number}.conf'", v(1)))));
            line(format!("  owner: {}", written.filled("setting_0_7 | default('root')")));
            line("  mode: '0640'".to_owned());
            line(format!("notify: Restart part {role}"));
            line(format!(
                "when: [{}, {}]",
                written.bare(&v(2)),
                written.bare(&format!("{}.level > 0 or inventory_hostname in groups.etcd", v(4)))
            ));
        }
        1 => {
            line(format!("ansible.builtin.command: {}", written.filled(&format!("'/usr/bin/part --version ' ~ {}", v(0)))));
            line(format!("register: part_{role}_result_{number}"));
            line("changed_when: false".to_owned());
            line(format!("failed_when: {}", written.bare(&format!("part_{role}_result_{number}.rc not in [0, 2]"))));
            line("check_mode: false".to_owned());
            line(format!("when: {}", written.bare(&format!("{} is version('v1.0', '>=')", v(0)))));
        }
        2 => {
            line("ansible.builtin.file:".to_owned());
            line(format!("  path: {}", written.filled("item.path")));
            line(format!("  mode: {}", written.filled("item.mode | default('0755')")));
            line("  state: directory".to_owned());
            line(format!("loop: {}", written.filled(&format!("{} + {}", v(3), v(9)))));
        }
        3 => {
            line("ansible.builtin.set_fact:".to_owned());
            line(format!("  part_{role}_fact_{number}: {}", written.filled(&format!("{} | map(attribute='name') | join(',')", v(3)))));
            line(format!("  part_{role}_ports_{number}: {}", written.filled(&format!("[{}.port, {}.port | int + 1]", v(4), v(10)))));
        }
        4 => {
            line("ansible.builtin.lineinfile:".to_owned());
            line(format!("  path: {}", written.filled(&format!("{} ~ '/env'", v(7)))));
            line(format!("  regexp: {}", written.filled(&format!("'^' ~ ({}.host | regex_escape)", v(4)))));
            line(format!("  line: {}", written.filled(&format!("{}.host ~ '=' ~ {}.port", v(4), v(4)))));
            line(format!("when: {}", written.bare("setting_0_2 | bool and not ansible_check_mode")));
        }
        5 => {
            line("ansible.builtin.apt:".to_owned());
            line(format!("  name: {}", written.filled("setting_0_3")));
            line(format!("  state: {}", written.filled(&format!("'present' if {} else 'latest'", v(2)))));
            line(format!("when: {}", written.bare("ansible_os_family | default('Debian') == 'Debian'")));
            line("tags: [packages]".to_owned());
        }
        6 => {
            line("ansible.builtin.copy:".to_owned());
            line(format!("  content: {}", written.filled(&format!("{} | to_nice_yaml(indent=2)", v(4)))));
            line(format!("  dest: {}", written.filled(&format!("{} ~ '/part-{number}.yaml'", v(13)))));
            line("  mode: '0600'".to_owned());
        }
        7 => {
            line("ansible.builtin.shell: |".to_owned());
            written.expressions += 2;
            line(format!("  part status {{{{ {} }}}} |", v(0)));
            line(format!("    grep -q {{{{ {}.port }}}}", v(4)));
            line(format!("register: part_{role}_ready_{number}"));
            line(format!("until: {}", written.bare(&format!("part_{role}_ready_{number} is succeeded"))));
            line(format!("retries: {}", written.filled("groups['all'] | length + 4")));
            line("delay: 2".to_owned());
            line("changed_when: false".to_owned());
        }
        8 => {
            line("ansible.builtin.systemd_service:".to_owned());
            line(format!("  name: {}", written.filled(&format!("'part-' ~ {role}"))));
            line("  state: started".to_owned());
            line(format!("  enabled: {}", written.filled(&format!("{} | bool", v(2)))));
            line(format!("delegate_to: {}", written.filled("groups['control_plane'] | first")));
            line(format!("run_once: {}", written.filled("setting_0_10 | bool")));
        }
        _ => {
            line("block:".to_owned());
            line("  - ansible.builtin.assert:".to_owned());
            line(format!(
                "      that: [{}, {}]",
                written.bare(&format!("{} | length == 3", v(5))),
                written.bare(&format!("{} is match('v1')", v(6)))
            ));
            line(format!("when: {}", written.bare(&format!("{}.host != access_ip", v(4)))));
        }
    }
}
