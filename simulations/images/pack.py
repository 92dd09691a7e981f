"""Pack the tar of a root folder as an image that `docker load` takes: the same bytes from the same folder.

`docker import` would write the time of day into the image, so that its id differed at each build.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/frr"


def main() -> None:
    """Take the image's name, the root folder's tar, and the file to write."""
    name, root, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    digest = _digest(root)
    config = json.dumps(_config(digest, int(os.environ["SOURCE_DATE_EPOCH"])), sort_keys=True).encode()
    image = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": image, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, image, config)
        _add(archive, "manifest.json", manifest)
        with root.open("rb") as layer:
            archive.addfile(_member("layer.tar", root.stat().st_size), layer)


def _config(digest: str, created: int) -> dict[str, Any]:
    """Describe the image. The init hands signals on and takes dead processes away, which shells as PID 1 do not."""
    when = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": when,
        "config": {
            "Entrypoint": ["/usr/bin/tini", "--"],
            "Cmd": ["netresilience-node"],
            "Env": [f"PATH={_PATH}"],
            "StopSignal": "SIGTERM",
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": when, "comment": "simulations/images/build"}],
    }


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_member(name, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Describe a member without the owner and the time that it happens to have here."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


if __name__ == "__main__":
    main()
