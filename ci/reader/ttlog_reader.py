"""An independent reader of TTLog snapshots, written from docs/format.md alone (the section signs point there).

`python ttlog_reader.py FILE...` prints one JSON object per event, in the order of segments and of records within them. Its purpose
is to be compared with ttlog-view (ci/reader-check): whatever the two read differently is a fault of one of them or of the format.
"""

import io
import json
import struct
import sys
import zlib
from fractions import Fraction

import cbor2
import lz4.block

MAGIC = bytes.fromhex("d9d9f784") + b"\x64TTLG"  # tag 55799, array of 4, text of 4 bytes
LEVELS = {1: "TRACE", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR"}
FIXED = {2: "<B", 3: "<H", 4: "<I", 7: "<b", 8: "<h", 9: "<i", 12: "<f", 13: "<d"}  # §4.2
NAMES = {1: "bool", 2: "u8", 3: "u16", 4: "u32", 5: "u64", 6: "u128", 7: "i8", 8: "i16", 9: "i32", 10: "i64", 11: "i128", 12: "f32",
         13: "f64", 14: "char", 15: "str", 16: "bytes", 17: "display", 18: "debug", 19: "error", 20: "unit", 32: "option", 33: "sequence"}
OPTION, SEQUENCE, ERROR, WIDE = 32, 33, 19, (6, 11, 13)


class Bytes(io.BytesIO):
    """The packed bytes of a payload (§4.2)."""

    def take(self, size):
        data = self.read(size)
        if len(data) < size:
            raise ValueError("a value runs past the end of its payload")
        return data

    def varint(self):
        first = self.take(1)[0]
        if first & 7 == 7:
            return int.from_bytes(self.take(8), "little")
        return int.from_bytes(bytes([first]) + self.take(first & 7), "little") >> 3

    def length(self):
        """The length kept, and the one the value had before it was capped."""
        first = self.take(1)[0]
        if first < 250:
            return first, first
        kept = struct.unpack("<I", self.take(4))[0]
        return kept, struct.unpack("<I", self.take(4))[0] if first == 251 else kept

    def value(self, tags):
        """Decodes a value of the type at the front of `tags`: (value, length it had before it was capped or None)."""
        tag = tags[0]
        if tag == 1:
            return self.take(1) != b"\0", None
        if tag in FIXED:
            return struct.unpack(FIXED[tag], self.take(struct.calcsize(FIXED[tag])))[0], None
        if tag == 5:
            return self.varint(), None
        if tag == 10:
            folded = self.varint()
            return (folded >> 1) ^ -(folded & 1), None
        if tag in (6, 11):
            return int.from_bytes(self.take(16), "little", signed=tag == 11), None
        if tag == 14:
            return chr(struct.unpack("<I", self.take(4))[0]), None
        if tag == 20:
            return (), None
        if tag == OPTION:
            return self.value(tags[1:]) if self.take(1) != b"\0" else (None, None)
        if tag not in (15, 16, 17, 18, ERROR, SEQUENCE):
            raise ValueError(f"unknown type tag {tag}")
        kept, full = self.length()
        if tag in (ERROR, SEQUENCE):
            inner = bytes([15]) if tag == ERROR else tags[1:]
            value = [self.value(inner)[0] for _ in range(kept)]
        else:
            value = self.take(kept) if tag == 16 else self.take(kept).decode()
        return value, full if full != kept else None


def type_name(tags):
    return NAMES[tags[0]] + (f"<{type_name(tags[1:])}>" if tags[0] in (OPTION, SEQUENCE) else "")


def items(data):
    """The intact items of a snapshot: (kind, body) (§6)."""
    at = data.find(MAGIC)
    while at >= 0:
        file = io.BytesIO(data)
        file.seek(at)
        try:
            _, kind, body, crc = cbor2.load(file)
            if zlib.crc32(body) != crc:
                raise ValueError("checksum")
            yield kind, body
            at = data.find(MAGIC, file.tell())
        except (cbor2.CBORDecodeError, ValueError, TypeError):
            print(f"item at {at} is damaged", file=sys.stderr)
            at = data.find(MAGIC, at + 1)


def column_records(columns, raw_len):
    """Undoes §6.3: the records, as header words (without check) and payload words."""
    n = struct.unpack_from("<I", columns)[0]
    if len(columns) != raw_len + 4 - n:
        raise ValueError("columns of a wrong length")

    def planes(at, count, width):
        return [sum(columns[at + byte * count + i] << 8 * byte for byte in range(width)) for i in range(count)]

    callsites, lens = planes(4, n, 2), planes(4 + 2 * n, n, 1)
    deltas = planes(4 + 3 * n, n, 4)
    words = iter(planes(4 + 7 * n, (raw_len - 8 * n) // 8, 8))
    delta, like, records = 0, {}, []
    for callsite, length, difference in zip(callsites, lens, deltas):
        delta = (delta + difference) % 2**32
        last, payload = like.get(callsite % 256, []), []
        count = length if length < 255 else 1
        while len(payload) < count:
            word = next(words) ^ (last[len(payload)] if len(payload) < len(last) else 0)
            payload.append(word)
            if length == 255 and len(payload) == 1:
                count = word
        like[callsite % 256] = payload
        records.append((callsite, length, delta, payload))
    return records


def plain_records(raw, lap):
    """The records of §4.1; from a damaged one on, nothing (the writer of a snapshot leaves none in)."""
    words, at, records = struct.unpack(f"<{len(raw) // 8}Q", raw), 0, []
    while at < len(words):
        header = words[at]
        callsite, length, delta, check = header & 0xFFFF, header >> 16 & 0xFF, header >> 24 & 0xFFFFFFFF, header >> 56
        count = words[at + 1] if length == 255 and at + 1 < len(words) else length
        payload = words[at + 1 : at + 1 + count]
        if header == 0:  # reserved, nothing stored
            at += 1
            continue
        if callsite != 0xFFFF:  # not one that is reserved and not committed
            mixed = header & (1 << 56) - 1 ^ lap
            for word in payload:
                mixed ^= word
            if len(payload) < count or sum(mixed.to_bytes(8, "little")) % 256 != check:
                print(f"record at word {at} is damaged", file=sys.stderr)
                break
            records.append((callsite, length, delta, list(payload)))
        at += 1 + count
    return records


def segment_events(body):
    """The events of a segment: (ticks, context, callsite, payload), and (context, name) of its context records (§6.2, §4.4)."""
    (index, sequence, context, mode, lap, base, close_ticks, lost, count, pending, damaged, codec, raw_len, data) = cbor2.loads(body)[:14]
    if codec == 0:
        raw = data
    else:
        raw = lz4.block.decompress(data, uncompressed_size=raw_len + 4)
    records = column_records(raw, raw_len) if codec == 2 else plain_records(raw, lap)
    events, names = [], {}
    for callsite, length, delta, payload in records:
        payload = payload[1:] if length == 255 else payload
        if callsite == 0 and delta == 1:
            base = payload[0]
        elif callsite == 0 and delta == 2:
            packed = Bytes(struct.pack(f"<{len(payload)}Q", *payload))
            named, _thread, _next = packed.varint(), packed.varint(), packed.varint()
            names[named] = packed.value(b"\x0f")[0]
            context = named if mode == 0 else context
        elif callsite != 0:
            who = context
            if mode == 2:
                who, delta, payload = payload[0] & 0xFFFFFFFF, delta | payload[0] >> 32 << 32, payload[1:]
            events.append(((base + delta) % 2**64, who, callsite, payload))
    if len(events) != count:
        raise ValueError(f"segment {index}: {count} events announced, {len(events)} read")
    return sequence, events, names


def literal(tags, value):
    """The value of a literal (§3.2)."""
    if tags[0] == 14:
        return chr(value)
    return int.from_bytes(value, "big", signed=tags[0] == 11) if tags[0] in (6, 11) else value


def fields_of(site_fields, payload):
    """Name, type, value and full length of each field, in source order (§4.3)."""
    packed, values = Bytes(struct.pack(f"<{len(payload)}Q", *payload)), {}
    dynamic = [at for at, field in enumerate(site_fields) if len(field) == 2]
    for wide in (True, False):
        for at in dynamic:
            if (site_fields[at][1][0] in WIDE) == wide:
                values[at] = packed.value(site_fields[at][1])
    for at, field in enumerate(site_fields):
        value, full = values[at] if at in values else (literal(field[1], field[2]), None)
        yield {"name": field[0], "type": type_name(field[1]), "value": value, "full_len": full}


def unix_ns(ticks, anchors, ticks_per_second):
    """Reads a clock by its anchors (§2.2)."""
    anchors = sorted(anchors) or [[0, 0]]
    (first_ticks, first_ns), (last_ticks, last_ns) = anchors[0], anchors[-1]
    for (t0, n0), (t1, n1) in zip(anchors, anchors[1:]):
        if t0 <= ticks < t1:
            return n0 + int(Fraction((ticks - t0) * (n1 - n0), t1 - t0))
    from_ticks, from_ns = anchors[0] if ticks < first_ticks else anchors[-1]
    rate = (last_ns - first_ns, last_ticks - first_ticks)
    if rate[0] < 100_000_000:
        rate = (1_000_000_000, ticks_per_second)
    return from_ns + int(Fraction((ticks - from_ticks) * rate[0], rate[1]))


def read(data):
    """Header, process and events of a snapshot."""
    header, process, sites, segments, names, end = None, {}, {}, [], {}, None
    for kind, body in items(data):
        if kind == 0:
            header = cbor2.loads(body)
            if header[1] > 1:
                raise ValueError(f"needs a reader of version {header[1]}")
        elif kind == 1:
            entry = cbor2.loads(body)
            if entry[0] == 1:
                process = entry[1]
            elif entry[0] == 2:
                sites[entry[1]] = entry[2:8]
        elif kind == 2:
            sequence, events, named = segment_events(body)
            segments.append((sequence, events))
            names.update(named)
        elif kind == 3:
            end = cbor2.loads(body)
    if end is None:
        print("the snapshot was cut off", file=sys.stderr)
    events = []
    for _, found in sorted(segments, key=lambda segment: segment[0]):
        for ticks, context, callsite, payload in found:
            level, target, message, file, line, site_fields = sites[callsite]
            events.append({"unix_ns": unix_ns(ticks, header[5], process.get(7, 0)), "level": LEVELS[level], "target": target,
                           "message": message, "file": file, "line": line, "context": context, "context_name": names.get(context),
                           "fields": list(fields_of(site_fields, payload))})
    return header, process, events


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, "rb") as opened:
            for event in read(opened.read())[2]:
                print(json.dumps(event, default=lambda value: value.hex()))
