"""What each layer of the sandbox is, which are in force on this machine, and which must be."""

from __future__ import annotations

import msgspec

LAYERS = {
    "limits": "limits on processor time, memory, processes, open files, and what is written",
    "privileges": "no way to gain privileges, and none to begin with",
    "files": "a root of its own with nothing in it but Python and the system's libraries, read-only",
    "processes": "it sees and signals its own processes alone, and they all die with it",
    "network": "no network, not even this machine's own",
    "ipc": "no shared memory or queues of other programs",
    "calls": "the kernel refuses system calls that no program under test needs",
}
"""The layers, and what each holds."""

ESSENTIAL = ("limits", "privileges", "files", "processes", "network")
"""Without one of these no program of a model is run, unless somebody says so for a machine that may be lost."""

MEND = (
    "Linux 5.12 or newer where an ordinary user may make namespaces "
    "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
)
"""What brings the essential layers."""


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of this machine."""

    in_force: tuple[str, ...]
    """Keys of `LAYERS`, in their order."""
    lacking: dict[str, str]
    """The others, each with the reason."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The essential ones that are lacking; empty where programs may run."""
        return tuple(name for name in ESSENTIAL if name in self.lacking)

    def describe(self) -> str:
        """The layers in a line.

        >>> Layers(in_force=("limits", "files"), lacking={"calls": "Invalid argument"}).describe()
        'in force: limits, files; lacking: calls (Invalid argument)'
        """
        lacking = ", ".join(f"{name} ({reason})" for name, reason in self.lacking.items())
        return f"in force: {', '.join(self.in_force) or 'none'}" + (f"; lacking: {lacking}" if lacking else "")
