"""The hosts: a lab of containers on this machine, a proxy that delays and counts in front of their sshds, and inventories that name them."""

import json
import subprocess
from pathlib import Path

LAB = "bench"
FIRST_PORT = 24001
# sshd refuses logins at random from the eleventh that is under way, which is only met where many names share a host
SSHD = "MaxStartups 2000\nMaxSessions 100\n"


class Hosts:
    """The lab. Grows on demand and is removed at the end, with the proxies."""

    def __init__(self, nodewright, delay, folder, most):
        self.nodewright, self.delay, self.folder, self.most = nodewright, delay, folder, most
        self.addresses = []
        self.proxy = None

    def lab(self, *words):
        done = subprocess.run([self.nodewright, "lab", "--name", LAB, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: nodewright lab {' '.join(words)}: {done.stderr.strip()}")
        return done

    def grow(self, wanted):
        """Has at least so many hosts, as far as the lab carries them."""
        wanted = min(wanted, self.most)
        if wanted <= len(self.addresses):
            return
        fresh = [] if self.addresses else ["--fresh"]
        booted = self.lab("up", *fresh, "--nodes", str(wanted), "--packages", "real")
        self.directory = Path(booted.stderr.rsplit("inventory: ", 1)[1].strip()).parent
        before = len(self.addresses)
        self.addresses = [line.split("\t")[1] for line in booted.stdout.splitlines()]
        known = (self.directory / "known_hosts").read_text().splitlines()
        self.keys = dict(line.split(" ", 1) for line in known)
        for index in range(before, wanted):
            root = self.directory / "hosts" / f"node-{index + 1}" / "root"
            (root / "etc/ssh/sshd_config.d/bench.conf").write_text(SSHD)
            self.lab("ssh", f"node-{index + 1}", "--", "sudo", "systemctl", "reload", "ssh")

    def line(self, delay):
        """A proxy with this round trip, in milliseconds, in front of every host; returns where each is reached, as (host, port)."""
        self.hang_up()
        if delay == 0:
            return [(address, 22) for address in self.addresses]
        ends = [("127.0.0.1", FIRST_PORT + index) for index in range(len(self.addresses))]
        pairs = [f"{host}:{port}={address}:22" for (host, port), address in zip(ends, self.addresses)]
        self.proxy = subprocess.Popen([self.delay, str(delay), *pairs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.proxy.stdout.readline() != "ready\n":
            raise SystemExit("bench: the delay proxy did not start")
        return ends

    def hang_up(self):
        if self.proxy:
            self.proxy.stdin.close()
            self.proxy.wait()
            self.proxy = None

    def passed(self):
        """What the proxy saw since it was last asked: connections, turns, bytes to the hosts, bytes from them. None without a proxy."""
        if not self.proxy:
            return None
        self.proxy.stdin.write("\n")
        self.proxy.stdin.flush()
        return [int(number) for number in self.proxy.stdout.readline().split()]

    def write(self, size, delay):
        """Inventories of so many names for every tool, in a folder of their own. Names beyond the hosts there are share them."""
        ends = self.line(delay)
        folder = self.folder / f"{size}-{delay}"
        folder.mkdir(parents=True, exist_ok=True)
        names = {}
        for index in range(size):
            which = index % len(ends)
            names[f"host-{index + 1}"] = (*ends[which], self.addresses[which])
        known = {bracketed(host, port): self.keys[address] for host, port, address in names.values()}
        (folder / "known_hosts").write_text("".join(f"{host} {key}\n" for host, key in known.items()))
        key = self.directory / "id"
        hosts = {
            # Ansible does not know the last one; it is how nodewright's inventories pin a key
            name: {"ansible_host": host, "ansible_port": port, "bench_address": address, "ansible_ssh_host_key": self.keys[address]}
            for name, (host, port, address) in names.items()
        }
        values = {
            "ansible_user": "admin",
            "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        # JSON is YAML
        (folder / "inventory.yaml").write_text(json.dumps({"all": {"hosts": hosts, "vars": values}}, indent=1))
        login = {
            "ssh_user": "admin",
            "ssh_key": str(key),
            "ssh_known_hosts_file": f"{folder}/known_hosts",
            "ssh_strict_host_key_checking": "yes",
            "_sudo": True,
        }
        data = {
            name: {"ssh_hostname": host, "ssh_port": port, "bench_address": address, **login}
            for name, (host, port, address) in names.items()
        }
        (folder / "inventory.py").write_text(f"hosts = {list(data.items())!r}\n")
        (folder / "key").unlink(missing_ok=True)
        (folder / "key").symlink_to(key)
        (folder / "hosts").write_text("".join(f"{host} {port} {address}\n" for host, port, address in names.values()))
        return folder

    def take_down(self):
        self.hang_up()
        subprocess.run([self.nodewright, "lab", "--name", LAB, "destroy"], check=False)


def bracketed(host, port):
    return host if port == 22 else f"[{host}]:{port}"
