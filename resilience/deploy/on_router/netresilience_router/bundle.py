"""A change that comes in: refused when it is not for this router, or could harm it."""

from __future__ import annotations

import re
from typing import Any

from .content import check_content
from .machine import Doc, Files
from .refused import Refused
from .router import Router
from .store import Store

SPARE_BYTES = 1024 * 1024
CHANGE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WORD = re.compile(r"[!-~]{1,200}")


def check_bundle(router: Router, bundle: Doc) -> Files:
    """Return the files of a bundle; Refused when they are not for this router or could harm it."""
    for key in ("change", "router", "network", "who", "platform"):
        if not isinstance(bundle.get(key), str):
            raise Refused("invalid", f"the change has no `{key}`")
    if not CHANGE.fullmatch(bundle["change"]) or not _WORD.fullmatch(bundle["who"]):
        raise Refused("invalid", "this cannot be the id of a change, or its author")
    if bundle["router"] != router.name:
        raise Refused("wrong-router", "this is {}, not {}".format(router.name, bundle["router"][:64]))
    if bundle["platform"] != router.daemon.platform:
        raise Refused("wrong-router", "this runs {}, not {}".format(router.daemon.platform, bundle["platform"][:16]))
    for group in ("files", "drained"):
        _check_texts(router, group, bundle.get(group, {}))
    files = bundle.get("files", {})
    if router.daemon.main not in files:
        raise Refused("invalid", f"{router.daemon.main} is missing")
    return dict(files)


def _check_texts(router: Router, group: str, texts: Any) -> None:
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise Refused("invalid", f"`{group}` is no mapping of names to texts")
    for name, text in texts.items():
        if name not in router.file_names:
            raise Refused("invalid", f"{str(name)[:64]} is no file of a router with {router.daemon.platform}")
        check_content(name, text)


def check_space(store: Store, files: Files) -> None:
    """Refuse a change that would fill the disk."""
    need = 3 * sum(len(text.encode()) for text in files.values()) + SPARE_BYTES
    free = store.free_bytes()
    if free < need:
        raise Refused("space", f"{free // 1024} kB are free in {store.folder}, the change needs {need // 1024}")
