"""The filter of system calls: what no program under test needs and much harm is done with is refused by the kernel.

A classic BPF program for seccomp (Linux, `man 2 seccomp`, <linux/filter.h>), written here because the libraries that
write such filters need a library of the system. It comes behind the namespaces: it closes what they leave open
(machine-wide sockets such as AF_VSOCK, namespaces in namespaces, memory that no limit counts) and parts of the kernel
that have been broken out of before.
"""

from __future__ import annotations

import platform
import struct
from typing import NamedTuple

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
FOREIGN_ABI = 0x40000000  # x32, whose calls have numbers of their own
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW* of <sched.h>
AF_UNIX = 1


class Machine(NamedTuple):
    """A processor family, as the kernel names it."""

    audit: int
    """AUDIT_ARCH_* of <linux/audit.h>."""
    column: int
    """Where its numbers stand in `DENIED`."""


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

CLONE, CLONE3, SOCKET = (56, 220), 435, (41, 198)

DENIED = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "perf_event_open": (298, 241),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "quotactl": (179, 60),
    "fanotify_init": (300, 262),
    # programs in the kernel, and calls that go around this filter
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "personality": (135, 92),
    # keys
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # memory that no limit of ours counts
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "syslog": (103, 116), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112),
}  # fmt: skip
"""Refused calls and their numbers on x86_64 (<asm/unistd_64.h>) and aarch64 (<asm-generic/unistd.h>)."""


def filter_for(machine: str | None = None) -> bytes:
    """The filter for a processor family (by default this one's), eight bytes an instruction; empty where none is known.

    >>> len(filter_for("x86_64")) % 8, filter_for("vax")
    (0, b'')
    """
    known = MACHINES.get(machine or platform.machine())
    if known is None:
        return b""
    head = [_step(LOAD, ARCHITECTURE), *_unless(EQUAL, known.audit, KILL_PROCESS), _step(LOAD, NUMBER)]
    foreign = _when(AT_LEAST, FOREIGN_ABI, ERRNO | ENOSYS)
    denied = [step for numbers in DENIED.values() for step in _when(EQUAL, numbers[known.column], ERRNO | EPERM)]
    # clone3 has its flags where no filter can look: the C library falls back to clone
    clone3 = _when(EQUAL, CLONE3, ERRNO | ENOSYS)
    clone = _argument(CLONE[known.column], _when(ANY_BIT, NEW_NAMESPACES, ERRNO | EPERM))
    socket = _argument(SOCKET[known.column], _unless(EQUAL, AF_UNIX, ERRNO | EPERM))
    return b"".join([*head, *foreign, *denied, *clone3, *clone, *socket, _step(RETURN, ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction: struct sock_filter. Jumps count the instructions that are passed over."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _when(test: int, value: int, answer: int) -> list[bytes]:
    """Answers when the test holds, else goes on."""
    return [_step(test, value, 0, 1), _step(RETURN, answer)]


def _unless(test: int, value: int, answer: int) -> list[bytes]:
    """Answers when the test fails, else goes on."""
    return [_step(test, value, 1, 0), _step(RETURN, answer)]


def _argument(number: int, look: list[bytes]) -> list[bytes]:
    """Looks at the first argument of one call, then goes on with the number of the call."""
    inner = [_step(LOAD, FIRST_ARGUMENT), *look, _step(LOAD, NUMBER)]
    return [_step(EQUAL, number, 0, len(inner)), *inner]
