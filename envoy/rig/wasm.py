"""WebAssembly modules: taken apart, put together, and made from scratch, as far as tests need it."""

import collections

MAGIC = b"\0asm\1\0\0\0"
CUSTOM, TYPES, IMPORTS, FUNCTIONS, MEMORIES, EXPORTS, CODE, DATA = 0, 1, 2, 3, 5, 7, 10, 11
FUNCTION = 0
UNREACHABLE, END = b"\x00", b"\x0b"

Export = collections.namedtuple("Export", "name kind index")


def unsigned(number):
    """LEB128, in which all numbers are written."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + unsigned(rest) if rest else bytes([low])


def sized(content):
    return unsigned(len(content)) + content


def vector(items):
    return unsigned(len(items)) + b"".join(items)


def module(sections):
    return MAGIC + b"".join(bytes([kind]) + sized(content) for kind, content in sections)


class Reader:
    def __init__(self, data):
        self._data, self._at = data, 0

    def __bool__(self):
        return self._at < len(self._data)

    def bytes(self, length):
        self._at += length
        return self._data[self._at - length : self._at]

    def byte(self):
        return self.bytes(1)[0]

    def unsigned(self):
        byte = self.byte()
        return byte if byte < 0x80 else (byte & 0x7F) | self.unsigned() << 7

    def sized(self):
        return self.bytes(self.unsigned())

    def vector(self, item):
        return [item() for _ in range(self.unsigned())]


def sections(binary):
    reader = Reader(binary)
    assert reader.bytes(len(MAGIC)) == MAGIC
    found = []
    while reader:
        found.append((reader.byte(), reader.sized()))
    return found


def imports(binary):
    """The names of the functions, with the modules that they are of: there is nothing else."""
    reader = Reader(dict(sections(binary))[IMPORTS])

    def one():
        of, name = reader.sized().decode(), reader.sized().decode()
        assert reader.byte() == FUNCTION
        reader.unsigned()
        return of, name

    return reader.vector(one)


def exports(binary):
    reader = Reader(dict(sections(binary))[EXPORTS])
    return reader.vector(lambda: Export(reader.sized().decode(), reader.byte(), reader.unsigned()))


def with_another_hash(binary):
    """The same but for a custom section at its end, which means nothing."""
    return binary + module([(CUSTOM, sized(b"another build"))])[len(MAGIC) :]


def trapping_in(binary, callback):
    """The same but that this callback does nothing but trap."""
    [index] = [each.index for each in exports(binary) if each.name == callback]

    def changed(kind, content):
        if kind != CODE:
            return content
        bodies = (reader := Reader(content)).vector(reader.sized)
        bodies[index - len(imports(binary))] = vector([]) + UNREACHABLE + END
        return vector([sized(each) for each in bodies])

    return module([(kind, changed(kind, content)) for kind, content in sections(binary)])
