"""Writes down what a process does with sockets, processes and files: Python imports this by itself from its path.

A line of JSON for each event goes to the file that ``GUARD_LOG`` names. Processes that Python starts do the same.
"""

import json
import os
import sys

LOG = os.open(os.environ["GUARD_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
WATCHED = {
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto"),
    *("urllib.Request", "http.client.connect"),
    *("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.spawn"),
    *("os.rename", "os.mkdir", "os.remove", "os.link", "os.symlink"),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def note(event: str, args: tuple) -> None:  # type: ignore[type-arg]
    if event == "open":
        path, _, flags = args
        if isinstance(path, int) or not (flags or 0) & WRITING:
            return
        args = (os.path.abspath(os.fsdecode(path)),)  # noqa: PTH100 - links stay as they are
    elif event == "socket.connect":
        args = (args[0].family.name, args[1])
    elif event == "subprocess.Popen":
        args = (args[0], args[1])
    elif event not in WATCHED:
        return
    os.write(LOG, json.dumps([event, *args], default=repr).encode() + b"\n")


sys.addaudithook(note)
