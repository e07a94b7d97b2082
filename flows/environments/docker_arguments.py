"""Arguments of ``docker run`` (``-A``), as the engine's API takes them.

MLflow writes them into a command line; here they become values, so that none can be taken for another option or for a
part of the shell's language.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.spec.suggestion import hint

_LETTERS = {
    "c": "cpu-shares",
    "d": "detach",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
    "net": "network",
    "dns-opt": "dns-option",
}
_TEXTS = {
    "cgroup-parent": "cgroup_parent",
    "cgroupns": "cgroupns",
    "cpuset-cpus": "cpuset_cpus",
    "cpuset-mems": "cpuset_mems",
    "domainname": "domainname",
    "hostname": "hostname",
    "ipc": "ipc_mode",
    "isolation": "isolation",
    "mac-address": "mac_address",
    "memory": "mem_limit",
    "memory-reservation": "mem_reservation",
    "memory-swap": "memswap_limit",
    "name": "name",
    "network": "network_mode",
    "pid": "pid_mode",
    "platform": "platform",
    "runtime": "runtime",
    "shm-size": "shm_size",
    "stop-signal": "stop_signal",
    "user": "user",
    "userns": "userns_mode",
    "uts": "uts_mode",
    "volume-driver": "volume_driver",
    "workdir": "working_dir",
}
_NUMBERS = {
    "blkio-weight": "blkio_weight",
    "cpu-period": "cpu_period",
    "cpu-quota": "cpu_quota",
    "cpu-rt-period": "cpu_rt_period",
    "cpu-rt-runtime": "cpu_rt_runtime",
    "cpu-shares": "cpu_shares",
    "memory-swappiness": "mem_swappiness",
    "oom-score-adj": "oom_score_adj",
    "pids-limit": "pids_limit",
}
_FLAGS = {
    "init": "init",
    "oom-kill-disable": "oom_kill_disable",
    "privileged": "privileged",
    "publish-all": "publish_all_ports",
    "read-only": "read_only",
    "tty": "tty",
}
_LISTS = {
    "cap-add": "cap_add",
    "cap-drop": "cap_drop",
    "device": "devices",
    "device-cgroup-rule": "device_cgroup_rules",
    "dns": "dns",
    "dns-option": "dns_opt",
    "dns-search": "dns_search",
    "group-add": "group_add",
    "security-opt": "security_opt",
    "volume": "volumes",
    "volumes-from": "volumes_from",
}
_MAPS = {"label": ("labels", "="), "storage-opt": ("storage_opt", "="), "sysctl": ("sysctls", "=")}
_IGNORED = frozenset(("rm", "interactive"))
_REFUSED = {
    "detach": "its output is recorded",
    "restart": "it is removed at its end",
    "attach": "its output is recorded",
    "cidfile": "`docker ps` shows its id",
    "detach-keys": "nobody is at its terminal",
}


@dataclass(kw_only=True)
class ContainerOptions:
    """What ``-A`` asks of a container.

    Attributes:
        engine: Arguments for the engine's API, by the names of the Docker SDK.
        variables: Environment variables.
    """

    engine: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def read_arguments(given: Sequence[str], *, host: Mapping[str, str] | None = None) -> ContainerOptions:
    """Return what arguments of ``docker run`` mean.

    Args:
        given: Texts ``name=value``, or ``name`` for a flag, without dashes, as MLflow's ``-A`` takes them.
        host: Environment that ``env=NAME`` copies from.

    Raises:
        InvalidValue: One is unknown, cannot be used with a run, stands twice, or has no usable value.
    """
    options = ContainerOptions()
    seen: set[str] = set()
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().lstrip("-")
        long = _LETTERS.get(name, name)
        repeatable = long in _LISTS or long in _MAPS or long in _READERS
        if long in seen and not repeatable:
            raise InvalidValue(f"the argument of docker run {name!r} was given twice: -A {text}")
        seen.add(long)
        try:
            _read(long, value if equals else None, options, host or {})
        except (ValueError, OSError) as error:
            if isinstance(error, InvalidValue):
                raise
            raise InvalidValue(f"-A {text}: {error}") from None
    return options


def _read(name: str, value: str | None, options: ContainerOptions, host: Mapping[str, str]) -> None:
    engine = options.engine
    if name in _IGNORED:
        return
    if name in _REFUSED:
        raise InvalidValue(f"-A {name} cannot be used: a step's container runs in the foreground, {_REFUSED[name]}")
    if name in _FLAGS:
        engine[_FLAGS[name]] = _flag(value)
    elif value is None:
        if name in _ALL:
            raise InvalidValue(f"-A {name} has no value: write -A {name}=VALUE")
        raise InvalidValue(f"-A {name}: docker run has no such flag, or it is not known here; {hint(name, _ALL)}")
    elif name in _TEXTS:
        engine[_TEXTS[name]] = value
    elif name in _NUMBERS:
        engine[_NUMBERS[name]] = int(value)
    elif name in _LISTS:
        engine.setdefault(_LISTS[name], []).append(value)
    elif name in _MAPS:
        key, sign = _MAPS[name]
        label, _, text = value.partition(sign)
        engine.setdefault(key, {})[label] = text
    elif name in _READERS:
        _READERS[name](value, options, host)
    else:
        raise InvalidValue(f"-A {name}: docker run has no such argument, or it is not known here; {hint(name, _ALL)}")


def _flag(value: str | None) -> bool:
    """Return a flag's value: bare, or ``True`` as MLflow's own callers write it."""
    if value is None or value.lower() in ("true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise ValueError("this is a flag: write it without a value, or with true or false")


# -- those that are not a text under another name ----------------------------------------------------


def _variable(value: str, options: ContainerOptions, host: Mapping[str, str]) -> None:
    name, equals, text = value.partition("=")
    if equals:
        options.variables[name] = text
    elif name in host:
        options.variables[name] = host[name]


def _variable_file(value: str, options: ContainerOptions, host: Mapping[str, str]) -> None:
    for line in Path(value).expanduser().read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            _variable(line.strip(), options, host)


def _host_name(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    name, _sign, address = value.partition(":")
    options.engine.setdefault("extra_hosts", {})[name] = address


def _cpus(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    options.engine["nano_cpus"] = round(float(value) * 1e9)


def _gpus(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    """Read ``all``, a number, or ``device=0,1`` as docker's own ``--gpus``."""
    from docker.types import DeviceRequest  # noqa: PLC0415 - where containers are used

    request: dict[str, Any] = {"capabilities": [["gpu"]]}
    text = value.strip("\"'")
    if text == "all":
        request["count"] = -1
    elif text.startswith("device="):
        request["device_ids"] = text.removeprefix("device=").split(",")
    else:
        try:
            request["count"] = int(text)
        except ValueError:
            raise ValueError("wanted all, a number, or device=ID,ID") from None
    options.engine.setdefault("device_requests", []).append(DeviceRequest(**request))


def _publish(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    from docker.utils.ports import build_port_bindings  # noqa: PLC0415 - the same

    for port, places in build_port_bindings([value]).items():
        options.engine.setdefault("ports", {})[port] = places


def _tmpfs(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    place, _sign, how = value.partition(":")
    options.engine.setdefault("tmpfs", {})[place] = how


def _ulimit(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    from docker.types import Ulimit  # noqa: PLC0415 - the same

    name, _sign, limits = value.partition("=")
    soft, _sign, hard = limits.partition(":")
    limit = Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
    options.engine.setdefault("ulimits", []).append(limit)


def _entrypoint(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    options.engine["entrypoint"] = shlex.split(value)


def _mount(value: str, options: ContainerOptions, _: Mapping[str, str]) -> None:
    """Read ``type=bind,source=…,target=…[,readonly]`` as docker's own ``--mount``."""
    from docker.types import Mount  # noqa: PLC0415 - the same

    parts = dict(part.partition("=")[::2] for part in value.split(","))
    target = next((parts[name] for name in ("target", "destination", "dst") if name in parts), None)
    if not target:
        raise ValueError("wanted type=bind,source=HERE,target=THERE, perhaps with ,readonly")
    read_only = any(parts.get(name) in ("", "true", "1") for name in ("readonly", "ro") if name in parts)
    mount = Mount(
        target=target,
        source=parts.get("source") or parts.get("src"),
        type=parts.get("type", "volume"),
        read_only=read_only,
    )
    options.engine.setdefault("mounts", []).append(mount)


_READERS: dict[str, Callable[[str, ContainerOptions, Mapping[str, str]], None]] = {
    "add-host": _host_name,
    "cpus": _cpus,
    "entrypoint": _entrypoint,
    "env": _variable,
    "env-file": _variable_file,
    "gpus": _gpus,
    "mount": _mount,
    "publish": _publish,
    "tmpfs": _tmpfs,
    "ulimit": _ulimit,
}
_ALL = sorted({*_TEXTS, *_NUMBERS, *_FLAGS, *_LISTS, *_MAPS, *_READERS})
