#!/usr/bin/env python3
"""Compile rules, run them over a file of events, print the alerts: libkestrel through ctypes.

    KESTREL_LIBRARY=target/release/libkestrel.so python3 ffi/examples/python/alerts.py wasm events.ndjson rule.eql...

The classes below are all that a program needs; `main` shows their use. Nothing outside the standard library is needed.
"""

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

API_VERSION = 0
OK, INVALID_DOCUMENT = 0, 5


class RuleFile(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("text", c_char_p), ("text_length", c_size_t)]


class Counters(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in (
        "events", "invalid_documents", "alerts", "late_events", "runtime_failures", "evicted", "live_keys")]


# The line is taken as a pointer and a length, not as a c_char_p, which would be copied up to the zero byte.
AlertCallback = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)

SIGNATURES = {
    "kestrel_version": (c_char_p, []),
    "kestrel_api_version": (c_uint32, []),
    "kestrel_compile": (c_int, [POINTER(RuleFile), c_size_t, c_char_p, c_uint32, POINTER(c_void_p)]),
    "kestrel_compilation_pack": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "kestrel_compilation_diagnostics": (c_char_p, [c_void_p, POINTER(c_size_t)]),
    "kestrel_compilation_error": (c_char_p, [c_void_p]),
    "kestrel_compilation_free": (None, [c_void_p]),
    "kestrel_pack_open": (c_int, [c_char_p, c_size_t, POINTER(c_void_p)]),
    "kestrel_pack_manifest": (c_char_p, [c_void_p]),
    "kestrel_pack_content_hash": (c_char_p, [c_void_p]),
    "kestrel_pack_error": (c_char_p, [c_void_p]),
    "kestrel_pack_free": (None, [c_void_p]),
    "kestrel_engine_new": (c_int, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "kestrel_engine_feed": (c_int, [c_void_p, c_char_p, c_size_t, AlertCallback, c_void_p]),
    "kestrel_engine_finish": (c_int, [c_void_p, AlertCallback, c_void_p]),
    "kestrel_engine_counters": (c_int, [c_void_p, POINTER(Counters), c_size_t]),
    "kestrel_engine_error": (c_char_p, [c_void_p]),
    "kestrel_engine_free": (None, [c_void_p]),
}


class KestrelError(Exception):
    """A call failed; `diagnostics` are lines of JSON when rules have errors."""

    def __init__(self, status, message, diagnostics=""):
        super().__init__(message)
        self.status = status
        self.diagnostics = diagnostics


class Kestrel:
    """The loaded library."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        if self.library.kestrel_api_version() != API_VERSION:
            raise KestrelError(None, f"libkestrel {self.library.kestrel_version().decode()} speaks another version")

    def compile(self, files, name="example"):
        """Rule files, as a list of (name, text), to the bytes of a pack and the diagnostics."""
        library, handle = self.library, c_void_p()
        texts = [(name.encode(), text.encode()) for name, text in files]
        array = (RuleFile * len(texts))(*(RuleFile(name, text, len(text)) for name, text in texts))
        status = library.kestrel_compile(array, len(texts), name.encode(), 0, byref(handle))
        try:
            diagnostics = library.kestrel_compilation_diagnostics(handle, None).decode()
            if status != OK:
                raise KestrelError(status, library.kestrel_compilation_error(handle).decode(), diagnostics)
            length = c_size_t()
            address = library.kestrel_compilation_pack(handle, byref(length))
            return ctypes.string_at(address, length.value), diagnostics
        finally:
            library.kestrel_compilation_free(handle)

    def engine(self, pack, on_alert, runtime="wasm"):
        """An engine for the bytes of a pack; `on_alert` gets each alert as a text."""
        return Engine(self.library, pack, on_alert, runtime)


class Engine:
    """A pack that runs. Use it in a `with` statement."""

    def __init__(self, library, pack, on_alert, runtime):
        self.library, self.handle, self.failure = library, c_void_p(), None

        # An exception must not leave the callback: it is kept, and raised when the call has returned.
        def forward(_user, line, length):
            try:
                on_alert(ctypes.string_at(line, length).decode())
            except BaseException as failure:
                self.failure = failure

        # Kept in the object: the library calls into it as long as the engine lives.
        self.callback = AlertCallback(forward)
        opened = c_void_p()
        try:
            status = library.kestrel_pack_open(pack, len(pack), byref(opened))
            if status != OK:
                raise KestrelError(status, library.kestrel_pack_error(opened).decode())
            self.check(library.kestrel_engine_new(opened, runtime.encode(), byref(self.handle)))
        except KestrelError:
            self.close()
            raise
        finally:
            library.kestrel_pack_free(opened)

    def feed(self, document):
        """One JSON document, as bytes."""
        self.check(self.library.kestrel_engine_feed(self.handle, document, len(document), self.callback, None))

    def finish(self):
        """The end of the events."""
        self.check(self.library.kestrel_engine_finish(self.handle, self.callback, None))

    def counters(self):
        counters = Counters()
        self.check(self.library.kestrel_engine_counters(self.handle, byref(counters), ctypes.sizeof(counters)))
        return counters

    def check(self, status):
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        if status != OK:
            raise KestrelError(status, self.library.kestrel_engine_error(self.handle).decode())

    def close(self):
        self.library.kestrel_engine_free(self.handle)
        self.handle = c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main(arguments):
    if len(arguments) < 3:
        print("usage: alerts.py wasm|lua|native|interp EVENTS RULE...", file=sys.stderr)
        return 2
    runtime, events, *rules = arguments
    kestrel = Kestrel(os.environ.get("KESTREL_LIBRARY", "libkestrel.so"))
    files = []
    for path in rules:
        with open(path, encoding="utf-8") as file:
            files.append((path, file.read()))
    try:
        pack, diagnostics = kestrel.compile(files)
        sys.stderr.write(diagnostics)
        with kestrel.engine(pack, print, runtime) as engine, open(events, "rb") as lines:
            for line in lines:
                try:
                    engine.feed(line.rstrip(b"\n"))
                except KestrelError as error:
                    if error.status != INVALID_DOCUMENT:
                        raise
                    print(error, file=sys.stderr)
            engine.finish()
            counters = engine.counters()
            print(f"{counters.events} events, {counters.invalid_documents} invalid, {counters.alerts} alerts",
                  file=sys.stderr)
    except KestrelError as error:
        sys.stderr.write(error.diagnostics)
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
