"""The resolved run: everything that a run does, as one frozen object that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotations)
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from trainer_host.base.atomic_io import atomic_write, plain
from trainer_host.base.display import is_plain
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.option_declaration import Origin  # noqa: TC001
from trainer_host.base.request import from_file, part_of
from trainer_host.base.run_options import RunOptions, recorded_options
from trainer_host.base.settings import VERBATIM, name_of, parse_value

FILES = frozenset({"data", "model"})
"""Settings that every engine has and that name files."""
WIDTH = 118
"""Columns of the YAML that is written."""


class ResolvedRun(BaseModel):
    """A run as it is carried out, in this process or another one.

    Attributes:
        task: Task, as it is selected.
        settings: Settings of the engine that a user, the sample or the task chose.
        defaults: All other settings of the engine, with its defaults.
        options: Options of the host.
        plugins: Options by plugin, of every plugin that has to be named to have the same hooks in the same order.
        origins: Where each setting came from.
        versions: Releases of the host, of Python, and of the libraries that compute.
        used: Plugins with their distributions and releases, as text.
        objects: Classes of the plugins and settings that no file can hold, by name. A run that has some cannot be made
            again from its file alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    settings: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}
    options: RunOptions = RunOptions()
    plugins: Mapping[str, Mapping[str, Any]] = {}
    origins: Mapping[str, Origin] = {}
    versions: Mapping[str, Any] = {}
    used: tuple[str, ...] = ()
    objects: Mapping[str, str] = {}

    def content(self) -> dict[str, Any]:
        """Return the run in the form of a settings file, without its record."""
        held = {key: value for key, value in self.settings.items() if key not in self.objects}
        settings = {key: _anchored(value) if key in FILES else plain(value) for key, value in held.items()}
        options = recorded_options(self.options)
        if "images" in options:
            options["images"] = [_anchored(folder) for folder in options["images"]]
        plugins = {name: dict(values) for name, values in self.plugins.items()}
        return {"task": self.task, **settings, **options, **({"plugins": plugins} if plugins else {})}

    def record(self) -> dict[str, Any]:
        """Return what the record in ``run.yaml`` says of the run before it begins."""
        record: dict[str, Any] = {
            "exact": self.options.exact,
            "versions": dict(self.versions),
            "plugins": list(self.used),
            "origins": dict(self.origins),
            "defaults": _InLine({key: plain(value) for key, value in self.defaults.items()}),
        }
        return {**record, "reproducible": False, "objects": dict(self.objects)} if self.objects else record

    def text(self, record: Mapping[str, Any] | None = None) -> str:
        """Return the run as YAML, with a record below it."""
        return as_yaml({**self.content(), "record": {**(record or {}), **self.record()}})

    def write(self, path: Path) -> None:
        """Write the run into a file that `read` and ``trainer run`` take."""
        atomic_write(path, self.text().encode())

    @classmethod
    def read(cls, path: Path) -> ResolvedRun:
        """Read the run of a file that `write` or a run has written.

        Raises:
            SettingsError: If it is not such a file.
        """
        request = from_file(path)
        record, problems = request.record, list(request.problems)
        if request.options.task is None or not record:
            problems.append(Problem("not the record of a run.", "give the run.yaml of a run", str(path)))
        if problems:
            raise SettingsError(*problems)
        named = {name: request.plugin_options.get(name_of(name), {}) for name in request.options.plugins}
        options = {name: one.value for name, one in request.given.items() if name not in {"task", "plugins"}}
        try:
            return cls(
                task=str(request.options.task),
                settings=request.values,
                defaults=part_of(request.record, "defaults"),
                options=type(request.options)(**options),
                plugins=named,
                origins=record.get("origins") or {},
                versions=record.get("versions") or {},
                used=tuple(record.get("plugins") or ()),
                objects=record.get("objects") or {},
            )
        except ValidationError as error:
            raise SettingsError(
                *(
                    Problem(f"record.{'.'.join(map(str, e['loc']))}: {e['msg']}.", "restore the file", str(path))
                    for e in error.errors()
                )
            ) from error


def _anchored(value: Any) -> Any:
    """Return a path, or several separated by commas, that means the same from every folder."""
    if not isinstance(value, str):
        return plain(value)
    parts = value.split(",")
    return ",".join(str(Path(p).resolve()) for p in parts) if all(Path(p).exists() for p in parts) else value


def as_yaml(content: Mapping[str, Any]) -> str:
    """Return a settings file whose values are read back as they are: ambiguous text is in quotes."""
    quoted = {
        key: _Quoted(value)
        for key, value in content.items()
        if isinstance(value, str) and key not in VERBATIM and parse_value(value) != value
    }
    data = {**content, **quoted}
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    # YAML has escapes of its own, which mean the same when the text is read.
    return text if is_plain(text) else yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=WIDTH)


class _Quoted(str):
    """A text that YAML or the host would read as something else."""

    __slots__ = ()


class _InLine(dict[str, Any]):
    """A mapping of many short values, written in few lines."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """A writer that knows `_Quoted`, and writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value again if it occurs twice."""
        return True


_Dumper.add_representer(
    _InLine, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)
_Dumper.add_representer(
    _Quoted, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data), style="'")
)
