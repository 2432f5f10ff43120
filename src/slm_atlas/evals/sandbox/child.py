"""The inner side of the sandbox: confines this fresh process, then runs one program in it.

Run by its path with `python -I -S`, so it imports little, all of the standard library. Three processes, each the parent
of the next: the *outer* one makes the namespaces and waits; the *warden*, first in its namespace of processes, puts up
the other layers and waits (when it ends, the kernel kills whatever else lives there); the *program* runs the text it
was given. Before it does, all three are confined, and only the warden can write the report.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import select
import sys
from collections.abc import Callable
from typing import Any, NoReturn

LIBC = ctypes.CDLL(None, use_errno=True)

# <sched.h>, <sys/mount.h>, <linux/mount.h>, <sys/prctl.h>, <linux/seccomp.h>
NEW_USER, NEW_FILES, NEW_PROCESSES, NEW_NETWORK, NEW_IPC = 0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000
NOSUID, NODEV, BIND, RECURSIVE, PRIVATE, DETACH = 0x2, 0x4, 0x1000, 0x4000, 0x40000, 0x2
MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD = 442, 0x8000, -100
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
READ_ONLY, READ_ONLY_DEVICE = 0x1 | 0x2 | 0x4, 0x1 | 0x2
SET_DEATH_SIGNAL, SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVILEGES, FILTER = 1, 4, 22, 38, 2
CAPABILITY_VERSION_3 = 0x20080522
INTERRUPT, KILL = 2, 9

STAGE = "/tmp"  # where the new root is built, and its only folder that can be written
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
END = 3  # where the program says that its end was reached, the only descriptor it has beside the standard three
SAID_BYTES = 500
"""So much of an exception's last line is reported."""

Order = dict[str, Any]


def _call(name: str, *arguments: object) -> None:
    """Calls the C library; whole numbers go as `unsigned long`.

    Raises:
        OSError: it did not return zero.
    """
    ctypes.set_errno(0)
    if getattr(LIBC, name)(*(ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


class Layers:
    """The layers that were put up, and why the others were not; with `wanted`, no others are tried."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self.wanted = wanted
        self.up: list[str] = []
        self.lacking: dict[str, str] = {}

    def put_up(self, name: str, how: Callable[[], None]) -> bool:
        """Tries one layer; whether it is there now."""
        if self.wanted and name not in self.wanted:
            return False
        try:
            how()
        except (OSError, ValueError, AttributeError, KeyError) as error:
            self.lacking[name] = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
            return False
        self.up.append(name)
        return True


# ---- the outer process: namespaces -----------------------------------------------------------------------------------


def die_with_parent(report: int) -> None:
    """Dies when the parent does, or now if whoever reads the report is dead already (Linux)."""
    if sys.platform == "linux":
        _call("prctl", SET_DEATH_SIGNAL, KILL, 0, 0, 0)
        readers = select.poll()
        readers.register(report, select.POLLERR)
        if readers.poll(0):
            os._exit(1)


def new_namespaces(layers: Layers) -> None:
    """Leaves the namespaces of the system; an ordinary user makes one of users first, which allows the others."""
    user, group = os.geteuid(), os.getegid()

    def users() -> None:
        if user != 0:  # the real root needs none, and in one of his own would be exempt from the limit on processes
            _call("unshare", NEW_USER)
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"1000 {user} 1")
            _write("/proc/self/gid_map", f"1000 {group} 1")

    kinds = {"files": NEW_FILES, "processes": NEW_PROCESSES, "network": NEW_NETWORK, "ipc": NEW_IPC}
    try:
        users()
    except OSError as error:
        layers.lacking |= dict.fromkeys(kinds, f"namespaces of ordinary users: {error.strerror}")
        return
    for name, flag in kinds.items():
        layers.put_up(name, lambda flag=flag: _call("unshare", flag))  # type: ignore[misc]


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def outer(order: Order) -> NoReturn:
    """Makes the namespaces, then waits for the warden; without a namespace of processes it is the warden itself."""
    die_with_parent(order["report"])
    layers = Layers(order["needed"])
    if sys.platform == "linux":
        new_namespaces(layers)
    if "processes" not in layers.up:
        warden(order, layers)
    child = os.fork()
    if child == 0:
        warden(order, layers)
    os.waitpid(child, 0)
    os._exit(0)


# ---- the warden: all other layers ------------------------------------------------------------------------------------


def own_root(readable: list[str], size_bytes: int) -> None:
    """A root that holds what Python needs, read-only, and an empty /tmp in memory, which is the working folder.

    Nothing else of the file system can be reached: not the home folder, not /etc, not /proc.
    """
    _call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    _call("mount", b"tmpfs", STAGE.encode(), b"tmpfs", NOSUID | NODEV, b"size=1m,nr_inodes=1k,mode=755")
    for path in readable:
        if os.path.islink(path):  # noqa: PTH114 (pathlib would have to be imported)
            os.symlink(os.readlink(path), STAGE + path)  # noqa: PTH115, PTH211
        else:
            _bind(path, READ_ONLY)
    for path in DEVICES:
        _bind(path, READ_ONLY_DEVICE)
    os.mkdir(STAGE + STAGE)  # noqa: PTH102
    options = f"size={size_bytes},nr_inodes=4k,mode=1777".encode()
    _call("mount", b"tmpfs", (STAGE + STAGE).encode(), b"tmpfs", NOSUID | NODEV, options)
    os.chdir(STAGE)
    _call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".")  # the old root now lies on top of the new one
    _call("umount2", b".", DETACH)
    _restrict(b"/", READ_ONLY, 0)
    os.chdir(STAGE)


def _bind(path: str, attributes: int) -> None:
    """Shows a file or a folder of the old root at its place in the new one, with all that is mounted below it."""
    if os.path.isdir(path):  # noqa: PTH112
        os.makedirs(STAGE + path, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(STAGE + path), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(STAGE + path, os.O_CREAT | os.O_WRONLY))
    _call("mount", path.encode(), (STAGE + path).encode(), None, BIND | RECURSIVE, None)
    _restrict((STAGE + path).encode(), attributes, AT_RECURSIVE)


def _restrict(path: bytes, attributes: int, flags: int) -> None:
    """Sets attributes of a mount (Linux 5.12)."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    _call("syscall", MOUNT_SETATTR, ctypes.c_long(AT_FDCWD), path, flags, ctypes.byref(wanted), ctypes.sizeof(wanted))


def give_up_privileges(user: int) -> None:
    """No new privileges by any file; no capabilities; the real root becomes a user that nobody else is."""
    _call("prctl", SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(none))


def filter_calls(instructions: bytes) -> None:
    """Has the kernel look at every system call from now on (`sandbox.filter` writes the filter)."""

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    if not instructions:
        raise ValueError("no filter is written for this processor")
    program = Program(len(instructions) // 8, instructions)
    _call("prctl", SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0)


def limit(limits: dict[str, int]) -> None:
    """Limits this process and its children; what the system does not know is left out."""
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            hardest = resource.getrlimit(kind)[1]
            hard = value + 1 if name == "CPU" else value  # a second between the signal and the kill
            hard = hard if hardest == resource.RLIM_INFINITY else min(hard, hardest)
            resource.setrlimit(kind, (min(value, hard), hard))


def confine(order: Order, layers: Layers) -> None:
    """Puts up what is left: files, then privileges, then limits, then the filter, each needing those before."""
    if sys.platform == "linux":
        _write("/proc/self/oom_score_adj", "1000")  # if memory runs out, this goes first
        if "files" in layers.up:
            layers.up.remove("files")
            layers.put_up("files", lambda: own_root(order["readable"], order["folder_bytes"]))
        layers.put_up("privileges", lambda: give_up_privileges(order["user"]))
    layers.put_up("limits", lambda: limit(order["limits"]))
    if sys.platform == "linux":
        layers.put_up("calls", lambda: filter_calls(order["filter"]))
        _call("prctl", SET_DUMPABLE, 0, 0, 0, 0)  # nobody may look into the warden


def warden(order: Order, layers: Layers) -> NoReturn:
    """Confines itself, starts the program, waits for its end, reports; its own end is the end of all others."""
    confine(order, layers)
    die_with_parent(order["report"])  # not before: a change of user forgets it
    missing = [name for name in order["needed"] if name not in layers.up]
    if missing:
        _report(order, [f"refused {missing[0]}: {layers.lacking.get(missing[0], 'not on this system')}"])
    LIBC.signal(INTERRUPT, None)  # the first process gets the signals it asks for, and no others, from within
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        if "processes" in layers.up:
            os.setsid()  # or a signal to its group would reach the outer process; without, we are killed by our group
        os.dup2(theirs, END)
        os.closerange(END + 1, 1 << 16)  # the report's own pipe among them
        program(order["program"], order["mark"])
    os.close(theirs)
    ended = -1
    while ended != child:
        ended, status, usage = os.wait4(-1, 0)
    os.set_blocking(ours, False)
    try:
        said = os.read(ours, 2 * SAID_BYTES)
    except BlockingIOError:
        said = b""  # a descendant still holds the pipe
    lines = [f"up {name}" for name in layers.up] + [f"lacking {name} {why}" for name, why in layers.lacking.items()]
    lines += [f"status {status}", f"cpu_s {usage.ru_utime + usage.ru_stime}", f"said {said.hex()}"]
    _report(order, lines)


def _report(order: Order, lines: list[str]) -> NoReturn:
    os.write(order["report"], "\n".join(lines).encode())
    os._exit(0)


# ---- the program -----------------------------------------------------------------------------------------------------


def program(text: str, mark: bytes) -> NoReturn:
    """Runs the text as `exec` runs it in an empty module, and writes the mark if its last line was reached.

    All that is used afterwards is held in locals: the text may replace whatever it finds in modules.
    """
    write, leave, flush, pid, last_line, anything = (
        os.write,
        os._exit,
        sys.stdout.flush,
        os.getpid,
        _last_line,
        BaseException,
    )
    started, code, said, raised = pid(), 1, b"", None
    try:
        exec(compile(text, "<program>", "exec", dont_inherit=True), {})
        code, said = 0, mark
    except anything as error:  # whatever it raises, SystemExit too, is how it ended
        raised = error
    try:
        if pid() == started:  # of the processes it became, the first speaks
            write(END, said or last_line(raised))
        flush()
    except anything:
        pass  # what cannot be said is not said: without its mark it has not passed
    leave(code)


def _last_line(error: BaseException | None) -> bytes:
    """What a traceback would end with; text that cannot be had is left out."""
    name = type(error).__name__
    try:
        text = str(error).strip().split("\n")[0]
    except BaseException:  # noqa: BLE001 (it is the program's code)
        text = ""
    return (f"{name}: {text}" if text else name).encode(errors="replace")[:SAID_BYTES]


if __name__ == "__main__":
    given: Order = marshal.load(sys.stdin.buffer)  # written by our parent, the same Python
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.umask(0o022)
    outer(given)
