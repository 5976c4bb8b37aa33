"""The complete request of a command or call, and the plugins that it can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.request import from_environment, from_file
from trainer_host.plugin.registry import Registry
from trainer_host.session.settings_file_safety import vetted

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host.base.option_declaration import Origin
    from trainer_host.base.request import Request


def open_request(
    given: Request, door: Origin, task: Any = None, registry: Registry | None = None
) -> tuple[Request, Registry]:
    """Return what was given together with the environment and the settings file, and the registry of its plugins.

    Args:
        given: What the command line or the call gave.
        door: ``command`` or ``call``.
        task: A task that was given as an object.
        registry: The plugins to choose from; by default the installed ones.

    Raises:
        SettingsError: If the settings file cannot be read.
        UnsafeError: If the settings file asks for what only the user may ask for.
        PluginError: If an object is not a plugin.
    """
    request = given.over(from_environment(given.command, door))
    if request.options.settings_file is not None:
        request = request.over(vetted(from_file(request.options.settings_file, request.command), request))
    objects = [*([] if task is None else [task]), *request.options.plugins]
    registry, names = (registry or Registry.installed(request.off)).with_plugins(objects)
    if task is not None:
        request = request.with_options(task=names.pop(0))
    if names:
        request = request.with_options(plugins=tuple(names))
    _refuse_absent_objects(request, given, {name for name, one in zip(names, objects, strict=False) if name is not one})
    return request, registry


def _refuse_absent_objects(request: Request, given: Request, present: Collection[str]) -> None:
    """Refuse the record of a run that had plugins or settings which no file can hold, unless they are given again.

    Raises:
        SettingsError: If one is missing.
    """
    known = {*present, request.options.task, *given.settings}
    absent = {name: kind for name, kind in request.objects.items() if name not in known}
    if not absent:
        return
    what = [
        Problem(
            f"the run used an object of the class {kind} as {name!r}, which a file cannot hold.",
            f"give it again: trainer_host.run(settings_file=..., ...) with the {kind.rpartition('.')[2]}",
            str(request.file),
        )
        for name, kind in absent.items()
    ]
    raise SettingsError(*what)
