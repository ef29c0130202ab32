#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes oskr.lua, the Wireshark dissector, from the headers that the decoder is compiled from.

Reads struct message_header, the enums of message types and proofs, struct segment_fields and
the registry of protocols; everything else of the dissector is dissector.lua.
"""
import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8}
EXIT_STALE = 1


class NotUnderstood(Exception):
    """A header is not as this script reads it."""


def source(path):
    """A file of the tree without comments and preprocessor lines."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def value_of(expression, known, where):
    """The value of a constant expression of sums, products and shifts of known names."""
    words = re.sub(r"\(int\)", "", expression)
    words = re.sub(r"(?<=\d)[uUlL]+", "", words)
    names = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"0x[0-9a-fA-F]+", "0", words)))
    if names - set(known) or not re.fullmatch(r"[\w\s+*()<>-]+", words):
        raise NotUnderstood(f"{where}: cannot tell what '{expression}' is")
    return eval(words, {"__builtins__": {}}, dict(known))  # names and operators were checked


def enum_read(text, pattern, known, where):
    """The constants of an enum, in order; they are known from then on."""
    match = re.search(r"enum " + pattern + r"\s*\{(.*?)\}", text, flags=re.DOTALL)
    if match is None:
        raise NotUnderstood(f"{where}: no enum {pattern}")
    constants, following = {}, 0
    for item in match[1].split(","):
        name, _, expression = (part.strip() for part in item.partition("="))
        if not name:
            continue
        following = value_of(expression, known, where) if expression else following
        constants[name] = known[name] = following
        following += 1
    return constants


def struct_read(text, name, where):
    """[(field, offset, size)] of a struct without padding, which the header asserts."""
    match = re.search(r"struct " + name + r"\s*\{(.*?)\};", text, flags=re.DOTALL)
    if match is None:
        raise NotUnderstood(f"{where}: no struct {name}")
    fields, offset = [], 0
    for item in filter(None, (item.strip() for item in match[1].split(";"))):
        member = re.fullmatch(r"(\w+)\s+(\w+)(?:\[(\d+)\])?", item)
        if member is None or member[1] not in SIZES:
            raise NotUnderstood(f"{where}: struct {name}: '{item}'")
        size = SIZES[member[1]]
        if offset % size != 0:
            raise NotUnderstood(f"{where}: struct {name} has padding before {member[2]}")
        fields.append((member[2], offset, size * int(member[3] or 1)))
        offset += fields[-1][2]
    return fields


def registry_read():
    """[(name, symbol of the replica half)], in the order of their numbers on the wire."""
    rows = re.findall(r'\{"([\w-]+)",[^{}]*?&(\w+)_replica,[^{}]*?\}',
                      source("protocols/registry.c"), flags=re.DOTALL)
    if not rows:
        raise NotUnderstood("protocols/registry.c: no protocols")
    return rows


def types_of(symbol, shared, known):
    """Names of a protocol's own types: of the header that declares its replica half."""
    for header in sorted((ROOT / "protocols").glob("*/*.h")):
        where = header.relative_to(ROOT)
        text = source(where)
        if not re.search(rf"extern const struct machine [^;]*\b{symbol}_replica\b", text):
            continue
        folder = header.parent.name
        if f"enum {folder}_type" not in text:
            return {}
        own = enum_read(text, f"{folder}_type", dict(known), where)
        includes_shared = "bft/bft.h" in header.read_text(encoding="utf-8")
        named = dict(shared) if includes_shared else {}
        named.update(own)
        return {value: name.split("_", 1)[1] for name, value in named.items()
                if not name.endswith("_TYPES_END")}
    raise NotUnderstood(f"no header declares {symbol}_replica")


def lua_table(name, rows):
    return "\n".join([f"local {name} = {{"] + [f"\t{row}," for row in rows] + ["}"])


def describe():
    """The tables that stand before dissector.lua."""
    message = source("engine/message.h")
    known = {}
    sizes = enum_read(message, "", known, "engine/message.h")
    types = enum_read(message, "message_type", known, "engine/message.h")
    proofs = enum_read(message, "proof_kind", known, "engine/message.h")
    shared = enum_read(source("protocols/bft/bft.h"), "bft_type", known, "protocols/bft/bft.h")
    port = re.search(r"CLUSTER_PORT = (\d+)", source("config/cluster_file.h"))
    enrol = re.search(r"ENROL_PROTOCOL = (\d+)", source("engine/enrol.h"))
    if port is None or enrol is None:
        raise NotUnderstood("no CLUSTER_PORT or no ENROL_PROTOCOL")
    header = struct_read(message, "message_header", "engine/message.h")
    segment = struct_read(source("engine/segment.h"), "segment_fields", "engine/segment.h")
    parts = [f"local PORT = {port[1]}"]
    parts += [f"local {name} = {sizes[name]}" for name in
              ("MESSAGE_VERSION", "MAC_SIZE", "SIGNATURE_SIZE", "MERKLE_DEPTH_MAX",
               "MERKLE_HEAD_SIZE")]
    parts.append(f"local MESSAGE_SEGMENT = {types['MESSAGE_SEGMENT']}")
    parts.append(f"local MESSAGE_SEGMENT_NACK = {types['MESSAGE_SEGMENT_NACK']}")
    for name, fields in (("HEADER", header), ("SEGMENT", segment)):
        parts.append(lua_table(name, [f'{{ name = "{field}", offset = {at}, size = {size} }}'
                                      for field, at, size in fields]))
    parts.append(lua_table("PROOFS", [f'[{value}] = "{name.removeprefix("PROOF_")}"'
                                      for name, value in proofs.items()]))
    parts.append(lua_table("TYPES", [f'[{value}] = "{name.removeprefix("MESSAGE_")}"'
                                     for name, value in types.items()
                                     if name != "MESSAGE_PROTOCOL"]))
    rows, own_rows = [f'[{enrol[1]}] = "enrolment"'], []
    for index, (name, symbol) in enumerate(registry_read()):
        rows.append(f'[{index}] = "{name}"')
        own = ", ".join(f'[{value}] = "{text}"'
                        for value, text in sorted(types_of(symbol, shared, known).items()))
        own_rows.append(f"[{index}] = {{ {own} }}")
    parts += [lua_table("PROTOCOLS", rows), lua_table("PROTOCOL_TYPES", own_rows)]
    return "\n".join(parts)


def make():
    body = (HERE / "dissector.lua").read_text(encoding="utf-8")
    mark = "-- TABLES --\n"
    if body.count(mark) != 1:
        raise NotUnderstood("dissector.lua: one line '-- TABLES --' is expected")
    note = ("-- Made by deploy/wireshark/generate.py from engine/message.h, engine/segment.h and\n"
            "-- protocols/: change those, or dissector.lua, and run it again.\n")
    return body.replace(mark, note + describe() + "\n")


def main():
    parser = argparse.ArgumentParser(
        prog="generate.py",
        description="Makes deploy/wireshark/oskr.lua from the headers of the wire format.")
    parser.add_argument("--check", action="store_true",
                        help="change nothing; exit status 1 when oskr.lua is not up to date")
    arguments = parser.parse_args()
    try:
        text = make()
    except NotUnderstood as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return EXIT_STALE
    path = HERE / "oskr.lua"
    if arguments.check:
        if path.read_text(encoding="utf-8") == text:
            return 0
        print("generate.py: deploy/wireshark/oskr.lua is not of these headers: run "
              "deploy/wireshark/generate.py", file=sys.stderr)
        return EXIT_STALE
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
