"""Kernel settings, addresses and policy rules: what the routing daemons do not set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .machine import Doc, Machine
from .refused import Refused


class Sysctl:
    """Kernel settings, as sysctl.conf(5) says them."""

    file = "sysctl.conf"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def parse(self, text: str) -> Iterator[tuple[str, str, bool]]:
        """Yield (key, value, whether a failure is to be ignored)."""
        for line in text.splitlines():
            stripped = line.strip()
            key, separator, value = stripped.partition("=")
            if stripped and stripped[0] not in "#;" and separator:
                name = key.strip()
                yield name.removeprefix("-"), " ".join(value.split()), name.startswith("-")

    def path(self, key: str) -> Path:
        """Return a setting's file: the first separator found decides which of `.` and `/` separates."""
        first = re.search(r"[./]", key)
        relative = key if first is None or first[0] == "/" else key.translate(str.maketrans("./", "/."))
        if ".." in relative.split("/"):
            raise Refused("invalid", f"sysctl.conf: {key} is no setting")
        return self.machine.proc_sys / relative

    def value(self, key: str) -> str | None:
        """Return what a setting is."""
        try:
            return " ".join(self.path(key).read_text(encoding="ascii").split())
        except OSError:
            return None

    def check(self, text: str) -> None:
        """Refuse settings that this kernel has not."""
        for key, _value, optional in self.parse(text):
            if not optional and not self.path(key).exists():
                raise Refused("invalid", f"sysctl.conf: this kernel has no {key}")

    def different(self, text: str) -> list[tuple[str, str, str | None]]:
        """Return (key, what should be, what is) of each setting that differs."""
        wanted = {key: (value, optional) for key, value, optional in self.parse(text)}
        found = ((key, value, self.value(key), optional) for key, (value, optional) in wanted.items())
        return [
            (key, value, now) for key, value, now, optional in found if now != value and not (optional and now is None)
        ]

    def load(self, text: str) -> None:
        """Set what differs."""
        for key, value, _now in self.different(text):
            try:
                self.path(key).write_text(value, encoding="ascii")
            except OSError as error:
                raise Refused("failed", f"sysctl {key} = {value}: {error.strerror}") from error

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        found = self.different(text)
        return "\n".join(f"-{key} = {value}\n+{key} = {now}" for key, value, now in found)

    def snapshot(self, text: str) -> str:
        """Return the present values of the settings of a text, as a text."""
        values = ((key, self.value(key)) for key, _value, _optional in self.parse(text))
        return "".join(f"{key} = {value}\n" for key, value in values if value is not None)


class Addresses:
    """Addresses of the interfaces that the batch names; all others are somebody else's."""

    file = "addresses.batch"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @staticmethod
    def parse(text: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Return the interfaces that are ours, and (interface, address) pairs, in order."""
        devices: list[str] = []
        pairs: list[tuple[str, str]] = []
        for line in text.splitlines():
            words = line.split()
            if words[:3] == ["link", "set", "dev"] and len(words) > 3:
                devices.append(words[3])
            if words[:2] == ["address", "replace"] and len(words) > 4 and words[3] == "dev":
                pairs.append((words[4], words[2]))
        return devices, pairs

    def live(self) -> tuple[dict[str, Doc], list[tuple[str, str]]]:
        """Return the links by name, and (interface, address) pairs of global scope."""
        done = self.machine.run(["ip", "-j", "address", "show"])
        links = {str(link["ifname"]): link for link in json.loads(done.out or "[]") if "ifname" in link}
        pairs = [
            (name, "{}/{}".format(entry["local"], entry["prefixlen"]))
            for name, link in links.items()
            for entry in link.get("addr_info", ())
            if entry.get("scope") == "global" and not entry.get("dynamic")
        ]
        return links, pairs

    def check(self, text: str) -> None:
        """Refuse what names an interface that is not there."""
        links, _pairs = self.live()
        made = {
            words[words.index("name") + 1]
            for words in map(str.split, text.splitlines())
            if words[:2] == ["link", "add"] and "name" in words
        }
        for device in self.parse(text)[0]:
            if device not in links and device not in made:
                raise Refused(
                    "invalid",
                    f"addresses.batch: there is no interface {device}",
                    "name the router's port in the intent: `interface:`",
                )

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        devices, wanted = self.parse(text)
        links, live = self.live()
        lines = [f"-{address} dev {device}" for device, address in wanted if (device, address) not in live]
        lines += [
            f"+{address} dev {device}"
            for device, address in live
            if device in devices and (device, address) not in wanted and not _is_loopback(address)
        ]
        for device in dict.fromkeys(devices):
            flags = links.get(device, {}).get("flags", ())
            if "UP" not in flags:
                lines.append("-link {} up\n+link {} {}".format(device, device, "down" if device in links else "absent"))
        return "\n".join(lines)

    def make(self, text: str) -> None:
        """Add what is missing."""
        done = self.machine.run(["ip", "-force", "-batch", "-"], stdin=text)
        if done.code != 0 and self._missing(text):
            raise Refused("failed", f"addresses: {done.words}")

    def _missing(self, text: str) -> bool:
        return any(line.startswith("-") for line in self.difference(text).splitlines())

    def break_(self, before: str, after: str) -> None:
        """Take away what the former batch had and this one has not."""
        devices, wanted = self.parse(after)
        old_devices, _old = self.parse(before)
        ours = set(devices) | set(old_devices)
        _links, live = self.live()
        gone = [pair for pair in live if pair[0] in ours and pair not in wanted and not _is_loopback(pair[1])]
        lines = "".join(f"address del {address} dev {device}\n" for device, address in gone)
        if lines:
            self.machine.run(["ip", "-force", "-batch", "-"], stdin=lines)

    def snapshot(self, text: str) -> str:
        """Return a batch of what the interfaces of a text have now."""
        devices = dict.fromkeys(self.parse(text)[0])
        links, live = self.live()
        lines = [f"link set dev {device} up" for device in devices if "UP" in links.get(device, {}).get("flags", ())]
        lines += [
            "address replace {} dev {}{}".format(address, device, " nodad" if ":" in address else "")
            for device, address in live
            if device in devices and not _is_loopback(address)
        ]
        return "\n".join(lines) + "\n"


class Rules:
    """Policy rules for IPv6 at the priorities that the batch names; all others are somebody else's."""

    file = "rules6.batch"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @staticmethod
    def parse(text: str) -> list[tuple[str, str]]:
        """Return (priority, table) of each rule."""
        return re.findall(r"^rule add pref (\d+) lookup (\d+)$", text, re.MULTILINE)

    def live(self) -> list[tuple[str, str]]:
        """Return (priority, table) of each rule that holds for every packet."""
        done = self.machine.run(["ip", "-6", "-N", "-j", "rule", "show"])
        return [
            (str(rule["priority"]), str(rule["table"]))
            for rule in json.loads(done.out or "[]")
            if rule.get("src") == "all" and rule.keys() <= {"priority", "src", "table", "protocol"}
        ]

    def difference(self, text: str) -> str:
        """Return what is against what should be, as a diff; empty: the same."""
        wanted, live = self.parse(text), self.live()
        ours = {priority for priority, _table in wanted}
        lines = [f"-{_rule(*rule)}" for rule in wanted if rule not in live]
        lines += [f"+{_rule(*rule)}" for rule in live if rule[0] in ours and rule not in wanted]
        return "\n".join(lines)

    def make(self, text: str) -> None:
        """Add what is missing."""
        live = self.live()
        missing = [rule for rule in self.parse(text) if rule not in live]
        self._run(f"rule add {_rule(*rule)}\n" for rule in missing)
        if set(missing) - set(self.live()):
            raise Refused("failed", f"rules6.batch: not taken: {_rule(*missing[0])}")

    def break_(self, before: str, after: str) -> None:
        """Take away what the former batch had and this one has not."""
        wanted = self.parse(after)
        ours = {priority for priority, _table in (*self.parse(before), *wanted)}
        gone = [rule for rule in self.live() if rule[0] in ours and rule not in wanted] if ours else []
        self._run(f"rule del {_rule(*rule)}\n" for rule in gone)

    def snapshot(self, text: str) -> str:
        """Return a batch of the rules that are there now, at the priorities of a text."""
        ours = {priority for priority, _table in self.parse(text)}
        return "".join(f"rule add {_rule(*rule)}\n" for rule in self.live() if rule[0] in ours)

    def _run(self, lines: Iterable[str]) -> None:
        batch = "".join(lines)
        if batch:
            self.machine.run(["ip", "-6", "-force", "-batch", "-"], stdin=batch)


def _rule(priority: str, table: str) -> str:
    return f"pref {priority} lookup {table}"


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1/128"
