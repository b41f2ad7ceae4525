#!/usr/bin/env python3
"""Fills in what ansible-core answers to the steps of the cases beside this file.

    tests/modules/record.py CASE.json...

Needs `ansible-playbook` in PATH (or named by ANSIBLE_PLAYBOOK). A case has `setup` (sh, run in an empty scratch folder), `files` (of the
controller), and `steps`: one module with its arguments each. Recorded are each step's `returns` and, at the end, the `tree`.
`[ROOT]` is the scratch folder, `[FILES]` the controller's.
"""
import json, os, re, shutil, subprocess, sys, tempfile

KEEP_OUT = {"invocation", "md5sum", "ctime", "atime", "mtime", "inode", "dev", "device_type", "blocks", "block_size", "elapsed", "attr_flags",
            "attributes", "version", "failed_when_result", "action", "ansible_facts", "exception", "deprecations", "warnings", "_ansible_no_log",
            "secontext", "birthtime", "module_stdout", "module_stderr", "stdout_lines", "stderr_lines"}


def clean(value, root, files):
    if isinstance(value, dict):
        return {k: clean(v, root, files) for k, v in value.items() if k not in KEEP_OUT}
    if isinstance(value, list):
        return [clean(v, root, files) for v in value]
    if isinstance(value, str):
        value = re.sub(r"\S*/\.ansible/tmp/\S*", "[TMP]", value)
        value = re.sub(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~", "[BACKUP]", value)
        return value.replace(files, "[FILES]").replace(root, "[ROOT]")
    return value


def tree(root):
    lines = []
    for folder, names, file_names in os.walk(root):
        names.sort()
        for name in sorted(names + file_names):
            path = os.path.join(folder, name)
            stat = os.lstat(path)
            shown = re.sub(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~", "[BACKUP]", os.path.relpath(path, root))
            if os.path.islink(path):
                lines.append(f"l {shown} -> {os.readlink(path).replace(root, '[ROOT]')}")
            elif os.path.isdir(path):
                lines.append(f"d {stat.st_mode & 0o7777:04o} {shown}/")
            elif not os.path.isfile(path):
                lines.append(f"o {stat.st_mode & 0o7777:04o} {shown}")
            else:
                with open(path, "rb") as handle:
                    content = handle.read().decode("utf-8", "replace").replace(root, "[ROOT]")
                lines.append(f"f {stat.st_mode & 0o7777:04o} {shown} {json.dumps(content, ensure_ascii=False)}")
    return sorted(lines)


def fill(value, root):
    if isinstance(value, dict):
        return {k: fill(v, root) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v, root) for v in value]
    return value.replace("[ROOT]", root) if isinstance(value, str) else value


def record(path):
    with open(path) as handle:
        case = json.load(handle)
    top = tempfile.mkdtemp(prefix="record")
    root, project = f"{top}/root", f"{top}/project"
    os.makedirs(root), os.makedirs(f"{project}/files"), os.makedirs(f"{project}/templates")
    for name, content in case.get("files", {}).items():
        for kind in ("files", "templates"):
            target = f"{project}/{kind}/{name}"
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w") as handle:
                handle.write(content)
    subprocess.run(["sh", "-ec", "umask 022\n" + case.get("setup", "")], cwd=root, check=True, env={**os.environ, "ROOT": root})
    tasks = []
    for step in case["steps"]:
        module = next(k for k in step if k not in ("check", "returns", "differs", "settles"))
        tasks.append({module: fill(step[module], root), "check_mode": step.get("check", False), "diff": True, "ignore_errors": True})
    with open(f"{project}/play.json", "w") as handle:
        json.dump([{"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": tasks}], handle)
    env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
           "ANSIBLE_RETRY_FILES_ENABLED": "0", "ANSIBLE_DEPRECATION_WARNINGS": "0", "HOME": top}
    ran = subprocess.run([os.environ.get("ANSIBLE_PLAYBOOK", "ansible-playbook"), "play.json"], cwd=project, env=env, capture_output=True, text=True)
    try:
        said = json.loads(ran.stdout[ran.stdout.index("{"):])
    except ValueError:
        sys.exit(f"{path}: {ran.stdout}{ran.stderr}")
    for step, task in zip(case["steps"], said["plays"][0]["tasks"], strict=True):
        step["returns"] = clean(task["hosts"]["localhost"], root, f"{project}/files")
    case["tree"] = tree(root)
    shutil.rmtree(top)
    with open(path, "w") as handle:
        json.dump(case, handle, indent=1, ensure_ascii=False)
        handle.write("\n")


for name in sys.argv[1:]:
    record(name)
