"""A stand-in for the bindings that componentize-py generates, as far as the SDK uses them.

A test module must import it before `wireplug.component`.
"""

import sys
from dataclasses import make_dataclass
from enum import IntEnum
from types import ModuleType


class Err(Exception):
    """The only exception that the bindings do not turn into a trap."""

    def __init__(self, value):
        super().__init__(value)
        self.value = value


def _module(name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    package, _, member = name.rpartition(".")
    if package:
        setattr(sys.modules[package], member, module)


def _records(**fields):
    return {name: make_dataclass(name, names.split()) for name, names in fields.items()}


def _enums(**members):
    return {name: IntEnum(name, names, start=0) for name, names in members.items()}


def _cases(variant, names, value=True):
    fields = ["value"] if value else []
    names = [f"{variant}_{name}" for name in names.split()]
    return {name: make_dataclass(name, fields) for name in names}


_module("componentize_py_types", Err=Err)
_module("wit_world")
_module("wit_world.imports")
_module(
    "wit_world.imports.types",
    Event=object,
    **_enums(
        Role="NOTICE REQUEST RESPONSE",
        Level="DEBUG INFO WARN ERROR",
        Carrier="BYTES MESSAGES DATAGRAMS",
    ),
    **_records(
        Instant="session_ms unix_ms",
        Message="role id route body status",
        Close="code reason",
        LogEntry="level text",
        Peer="carrier transport address dialed max_packet random_seed attributes",
    ),
    **_cases("Event", "Hello Message Reply Timer Log Close"),
    **_cases("Event", "Established AddressVerified", value=False),
    **_cases("Fault", "Rejected Fatal"),
)
_module(
    "wit_world.imports.flat",
    **_enums(
        Kind="HELLO ESTABLISHED MESSAGE REPLY TIMER ADDRESS_VERIFIED LOG CLOSE REJECTED FATAL",
    ),
    **_records(
        Packets="bytes ends",
        EventHead="kind packet role id status route_end body_end",
        Events="bytes heads",
        MessageHead="role id status route_end body_end",
        Messages="bytes heads",
        Refusal="message reason",
        Encoded="packets sources refused",
    ),
)
_module("wit_world.exports", Batch=object, Framer=object)
_module(
    "wit_world.exports.framer",
    **_cases("Next", "Need"),
    **_cases("Next", "Full StartTls", value=False),
    **_records(Frames="ends events next"),
)
