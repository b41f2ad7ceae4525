"""The work of `site.yaml`, operation for operation, as pyinfra has it."""

from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import apt, files, server, systemd

HERE = Path(__file__).parent
VALUES = {
    "bench_address": host.data.bench_address,
    "bench_level": "info",
    "bench_workers": 4,
    "bench_limits": {"nofile": 65536, "nproc": 4096, "memlock": "unlimited"},
    "bench_upstreams": [
        {"name": "alpha", "port": 8101, "weight": 3},
        {"name": "beta", "port": 8102, "weight": 2},
        {"name": "gamma", "port": 8103, "weight": 1},
    ],
}


def template(name, dest, mode):
    src = str(HERE / "templates" / name)
    # Ansible's way with the lines of blocks
    files.template(
        name=name, src=src, dest=dest, user="root", group="root", mode=mode, jinja_env_kwargs={"trim_blocks": True}, **VALUES
    )


def put(name, dest, mode, user="root"):
    files.put(name=name, src=str(HERE / "files" / name), dest=dest, user=user, group=user, mode=mode)


apt.packages(name="Packages that are needed", packages=["ca-certificates", "curl", "openssh-server"])
apt.packages(name="Sudo", packages=["sudo"])
apt.packages(name="Packages that nobody wants", packages=["telnet", "nis"], present=False)

server.user(name="The user that deploys", user="deploy", uid=4711, shell="/bin/bash", groups=["adm"], append=True, comment="Deployment")

files.directory(name="Folder of the configuration", path="/etc/bench", mode="750")
files.directory(name="Folder of the releases", path="/srv/bench/releases", user="deploy", group="deploy", mode="755")
files.directory(name="Folder of the logs", path="/var/log/bench", group="adm", mode="770")
files.link(name="Link to the current release", path="/srv/bench/current", target="/srv/bench/releases")
files.file(name="A file that is gone", path="/etc/bench/old.conf", present=False)
put("state", "/etc/bench/state", "640")
put("limits.conf", "/etc/security/limits.d/90-bench.conf", "644")
put("words", "/srv/bench/words", "640", user="deploy")
put("bench-report", "/usr/local/bin/bench-report", "755")

template("app.conf.j2", "/etc/bench/app.conf", "640")
template("upstreams.conf.j2", "/etc/bench/upstreams.conf", "644")
template("limits.env.j2", "/etc/bench/limits.env", "644")
template("bench.service.j2", "/etc/systemd/system/bench.service", "644")

files.line(name="Address of the registry", path="/etc/hosts", line="192.0.2.9 registry.bench")
files.line(name="Who may log in where", path="/etc/login.defs", line="^LOGIN_RETRIES.*$", replace="LOGIN_RETRIES 3")
files.line(name="Shells", path="/etc/shells", line="/usr/local/bin/bench-report")
files.block(
    name="A block of lines",
    path="/etc/hosts",
    marker="# {mark} bench",
    content="192.0.2.10 alpha.bench\n192.0.2.11 beta.bench\n192.0.2.12 gamma.bench",
)

# A command always counts as a change in pyinfra: what was done is not done again, and what only asks is a fact.
if not host.get_fact(File, path="/srv/bench/initialised"):
    server.shell(name="Initialise", commands=["touch /srv/bench/initialised"])
if not host.get_fact(File, path="/srv/bench/index"):
    server.shell(name="Build the index", commands=["wc -l < /srv/bench/words > /srv/bench/index"])
if not host.get_fact(File, path="/srv/bench/count"):
    server.shell(name="Count the words", commands=["wc -w < /srv/bench/words > /srv/bench/count"])
if host.get_fact(File, path="/srv/bench/index.old"):
    server.shell(name="Remove the old index", commands=["rm /srv/bench/index.old"])

systemd.service(name="sshd runs", service="ssh", running=True, enabled=True)
systemd.service(name="The service runs", service="bench", running=True, enabled=True)
systemd.service(name="What must not run", service="systemd-networkd.service", running=False, enabled=False)
