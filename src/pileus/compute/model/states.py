"""What a server is, what may be asked of it then, and what is told while something is being done to it."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec


class State(StrEnum):
    """What a server is when nothing is being done to it: the vm_state of the API, but for the longest one."""

    BUILDING, ACTIVE, STOPPED, ERROR, DELETED = "building", "active", "stopped", "error", "deleted"
    PAUSED, SUSPENDED, RESCUED, RESIZED = "paused", "suspended", "rescued", "resized"
    SHELVED, OFFLOADED, SOFT_DELETED = "shelved", "offloaded", "soft-delete"

    @property
    def as_told(self) -> str:
        return "shelved_offloaded" if self is State.OFFLOADED else str(self)


class Power(IntEnum):
    """The API's numbers."""

    NONE, RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED = 0, 1, 3, 4, 6, 7


_HALTED = {State.PAUSED, State.SUSPENDED}
_STILL_THERE = set(State) - {State.DELETED, State.SOFT_DELETED}
MAY = {  # what a user may ask of a server, by the state it is in
    "reboot": {State.ACTIVE, State.STOPPED, State.ERROR, *_HALTED},
    "stop": {State.ACTIVE, State.ERROR},
    "start": {State.STOPPED},
    "pause": {State.ACTIVE},
    "unpause": {State.PAUSED},
    "suspend": {State.ACTIVE},
    "resume": {State.SUSPENDED},
    "rebuild": {State.ACTIVE, State.STOPPED, State.ERROR},
    "resize": {State.ACTIVE, State.STOPPED},
    "migrate": {State.ACTIVE, State.STOPPED},
    "confirmResize": {State.RESIZED},
    "revertResize": {State.RESIZED},
    "createImage": {State.ACTIVE, State.STOPPED, *_HALTED},
    "createBackup": {State.ACTIVE, State.STOPPED, *_HALTED},
    "shelve": {State.ACTIVE, State.STOPPED, *_HALTED},
    "shelveOffload": {State.SHELVED},
    "unshelve": {State.SHELVED, State.OFFLOADED},
    "rescue": {State.ACTIVE, State.STOPPED, State.ERROR},
    "unrescue": {State.RESCUED},
    "changePassword": {State.ACTIVE},
    "trigger_crash_dump": {State.ACTIVE, State.PAUSED, State.RESCUED, State.RESIZED, State.ERROR},
    "attach_interface": {State.ACTIVE, State.PAUSED, State.STOPPED},
    "detach_interface": {State.ACTIVE, State.PAUSED, State.STOPPED},
    "attach_volume": {State.ACTIVE, State.PAUSED, State.STOPPED, State.RESIZED, State.OFFLOADED},
    "detach_volume": {State.ACTIVE, State.PAUSED, State.STOPPED, State.RESIZED, State.OFFLOADED},
    "create share": {State.STOPPED},
    "delete": set(State) - {State.DELETED},
    "soft_delete": _STILL_THERE,
    "restore": {State.SOFT_DELETED},
    "forceDelete": set(State) - {State.DELETED},
}

# While a saga works on a server: (task_state of the API, status of the API or None for that of the state).
TASKS: dict[str, tuple[str | None, str | None]] = {
    "compute.boot_server": ("spawning", "BUILD"),
    "compute.delete_server": ("deleting", None),
    "compute.rebuild_server": ("rebuilding", "REBUILD"),
    "compute.snapshot_server": ("image_uploading", None),
    "compute.shelve_server": ("shelving", None),
    "compute.unshelve_server": ("unshelving", None),
    "compute.resize_server": ("resize_migrating", "RESIZE"),
    "compute.confirm_resize": (None, None),
    "compute.revert_resize": ("resize_reverting", "REVERT_RESIZE"),
    "compute.rescue_server": ("rescuing", None),
    "compute.unrescue_server": ("unrescuing", None),
    "compute.set_password": ("updating_password", "PASSWORD"),
    "compute.attach_interface": (None, None),
    "compute.detach_interface": (None, None),
    "compute.attach_volume": (None, None),
    "compute.detach_volume": (None, None),
    "compute.grow_volume": (None, None),
    "stop": ("powering-off", None),
    "start": ("powering-on", None),
    "reboot": ("rebooting", "REBOOT"),
    "hard_reboot": ("rebooting_hard", "HARD_REBOOT"),
    "pause": ("pausing", None),
    "unpause": ("unpausing", None),
    "suspend": ("suspending", None),
    "resume": ("resuming", None),
    "soft_delete": ("soft-deleting", None),
    "restore": ("restoring", None),
}
# What is done to a server that changes none of what it may be asked for: anything else waits its turn behind them.
IN_LINE = ("compute.attach_interface", "compute.detach_interface", "compute.attach_volume", "compute.detach_volume",
           "compute.grow_volume")
NAMED_BY_FIELD = {"compute.power_server": "wanted"}         # the task is in a field of the saga
BOOT_TASKS = {"accept": "scheduling", "find_candidates": "scheduling", "choose_host": "scheduling",
              "claim": "scheduling", "bind_host": None, "make_ports": "networking",
              "attach_volumes": "block_device_mapping"}
STATUS = {State.BUILDING: "BUILD", State.ACTIVE: "ACTIVE", State.STOPPED: "SHUTOFF", State.ERROR: "ERROR",
          State.DELETED: "DELETED", State.PAUSED: "PAUSED", State.SUSPENDED: "SUSPENDED", State.RESCUED: "RESCUE",
          State.RESIZED: "VERIFY_RESIZE", State.SHELVED: "SHELVED", State.OFFLOADED: "SHELVED_OFFLOADED",
          State.SOFT_DELETED: "SOFT_DELETED"}
# Of sagas: by what the status that they bring is looked for.
STATUS_OF_TASK = {"REBOOT": "compute.power_server", "HARD_REBOOT": "compute.power_server",
                  "REBUILD": "compute.rebuild_server", "RESIZE": "compute.resize_server",
                  "REVERT_RESIZE": "compute.revert_resize", "PASSWORD": "compute.set_password"}
MORE_STATUSES = {*STATUS_OF_TASK, "MIGRATING", "UNKNOWN"}    # those no server ever has are no error to ask for


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What a saga is doing to a server right now."""

    name: str                         # of TASKS
    step: str
    unwind_asked: bool = False

    @property
    def task(self) -> str | None:
        if self.unwind_asked:
            return "deleting"
        if self.name == "compute.boot_server":
            return BOOT_TASKS.get(self.step, "spawning")
        return TASKS.get(self.name, (None, None))[0]

    def status(self, state: State) -> str:
        return TASKS.get(self.name, (None, None))[1] or STATUS[state]
