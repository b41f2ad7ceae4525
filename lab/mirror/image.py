#!/usr/bin/env python3
"""Write container images as one docker-archive, without a container engine.

image.py OUT.tar PLAN.json

The plan is a list of {"tags": [...], "layers": [DIRECTORY, ...], "command": [...]}. A directory becomes one layer, the same
one wherever it is named again. Load the result with `ctr -n k8s.io images import OUT.tar`.
"""
import hashlib
import io
import json
import os
import platform
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def layer(directory):
    """The layer's bytes: owned by root, without times, so that equal content has an equal digest."""
    buffer = io.BytesIO()

    def owned_by_root(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(os.path.join(directory, name), arcname=name, filter=owned_by_root)
    return buffer.getvalue()


def main(out, plan_file):
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    digests, manifest = {}, []
    with tarfile.open(out, "w") as archive:

        def put(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        for image in plan:
            for directory in image["layers"]:
                if directory not in digests:
                    data = layer(directory)
                    digests[directory] = hashlib.sha256(data).hexdigest()
                    put(digests[directory] + "/layer.tar", data)
            layers = [digests[directory] for directory in image["layers"]]
            config = json.dumps({
                "architecture": architecture,
                "os": "linux",
                "config": {"Entrypoint": image["command"], "Env": [PATH]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest in layers]},
                "history": [{"created_by": "nodewright lab"} for _ in layers],
            }).encode()
            name = hashlib.sha256(config).hexdigest() + ".json"
            put(name, config)
            manifest.append({
                "Config": name,
                "RepoTags": image["tags"],
                "Layers": [digest + "/layer.tar" for digest in layers],
            })
        put("manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
