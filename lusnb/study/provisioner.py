"""A kernel that is forked from a process which has imported everything, as Jupyter starts kernels: a kernel
provisioner, lusnb-warm, which pyproject.toml names as an entry point. study/warm.py forks.
"""

import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from lusnb.study import ask

LAUNCHER = ["-m", "ipykernel_launcher"]  # the command that a forked child stands for


class Forked:
    """A forked child in the manner of subprocess.Popen, as far as a provisioner asks of one."""

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, pid: int):
        self.line, self.pid = line, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        if self.returncode is None and select.select([self.line], [], [], 0)[0]:
            said = ask.receive(self.line)
            self.returncode = int(said) if said else -signal.SIGKILL
            self.line.close()
        return self.returncode

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        while (status := self.poll()) is None:
            select.select([self.line], [], [])
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """Starts a kernel as a fork of the warm process; where that refuses, as any local kernel."""

    process: Any  # a Popen, or what is asked of one

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it. Raises ask.Ended where the study has ended."""
        if cmd[:3] != [sys.executable, *LAUNCHER]:  # another interpreter, or options of its own
            return await super().launch_kernel(cmd, **kwargs)
        environment = dict(kwargs.get("env") or os.environ)
        own = {"environment": environment, "folder": str(kwargs.get("cwd") or os.getcwd())}
        files = (os.open(os.devnull, os.O_RDONLY), 1, 2)
        try:
            line, pid = ask.ask({"kind": "kernel", "argv": cmd[2:], **own}, files)
        except ask.Refused:
            return await super().launch_kernel(cmd, **kwargs)
        finally:
            os.close(files[0])
        self.process, self.pid, self.pgid = Forked(line, pid), pid, pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info
