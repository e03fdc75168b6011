"""A filter that at each request writes what it likes into the shared data of its vm_id, and does nothing else."""

from rig import wasm

I32, NO_LOCALS = b"\x7f", b"\0"
CALL_WRITE, DROP, CONSTANT = b"\x10\0", b"\x1a", b"\x41"
PAGE = 65536


def vandal(values):
    """The module, given what to write by key."""
    data = b"".join(key.encode() + value for key, value in values.items())
    # The import is the first function; those below follow in this order.
    types = [type_of(5, 1), type_of(0, 0), type_of(1, 1), type_of(2, 0), type_of(3, 1)]
    bodies = [b"", constant(0), b"", writes(values) + constant(0)]
    names = ["proxy_abi_version_0_2_1", "malloc", "proxy_on_context_create", "proxy_on_request_headers"]
    pages = len(data) // PAGE + 1
    return wasm.module(
        [
            (wasm.TYPES, wasm.vector(types)),
            (wasm.IMPORTS, wasm.vector([wasm.sized(b"env") + wasm.sized(b"proxy_set_shared_data") + b"\0\0"])),
            (wasm.FUNCTIONS, wasm.vector([wasm.unsigned(number) for number in range(1, len(types))])),
            (wasm.MEMORIES, wasm.vector([b"\0" + wasm.unsigned(pages)])),
            (
                wasm.EXPORTS,
                wasm.vector(
                    [wasm.sized(b"memory") + b"\2\0"]
                    + [wasm.sized(name.encode()) + b"\0" + wasm.unsigned(1 + at) for at, name in enumerate(names)]
                ),
            ),
            (wasm.CODE, wasm.vector([wasm.sized(NO_LOCALS + body + wasm.END) for body in bodies])),
            (wasm.DATA, wasm.vector([b"\0" + constant(0) + wasm.END + wasm.sized(data)])),
        ]
    )


def type_of(parameters, results):
    return b"\x60" + wasm.vector([I32] * parameters) + wasm.vector([I32] * results)


def writes(values):
    """Whatever is there: a token of 0 overwrites."""
    code, at = b"", 0
    for key, value in values.items():
        arguments = (at, len(key), at + len(key), len(value), 0)
        code += b"".join(map(constant, arguments)) + CALL_WRITE + DROP
        at += len(key) + len(value)
    return code


def constant(number):
    """Written as signed: a leading bit of its own keeps it positive."""
    low, rest = number & 0x7F, number >> 7
    if rest or low & 0x40:
        return CONSTANT + bytes([low | 0x80]) + constant(rest)[1:]
    return CONSTANT + bytes([low])
