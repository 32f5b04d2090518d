"""An independent reader of TTLog snapshots and of the rings of devices, written from docs/format.md alone (the section signs point there).

`python ttlog_reader.py FILE...` prints one JSON object per event, in the order of segments and of records within them; of the ring of a
device one per session and then one per event, with its payload in hex, as the ring does not know names. Its purpose is to be compared with ttlog-view (ci/checks/reader-check): whatever the two read differently is a fault of one of them or of the format.
"""

import datetime
import io
import ipaddress
import json
import struct
import sys
import typing
import uuid
import zlib
from bisect import bisect_right
from fractions import Fraction
from math import floor, inf

import cbor2
import lz4.block

MAGIC = bytes.fromhex("d9d9f784") + b"\x64TTLG"  # tag 55799, array of 4, text of 4 bytes
LEVELS = {1: "TRACE", 2: "DEBUG", 3: "INFO", 4: "WARN", 5: "ERROR"}
FIXED = {2: "<B", 3: "<H", 4: "<I", 7: "<b", 8: "<h", 9: "<i", 12: "<f", 13: "<d"}  # §4.2
NAMES = {1: "bool", 2: "u8", 3: "u16", 4: "u32", 5: "u64", 6: "u128", 7: "i8", 8: "i16", 9: "i32", 10: "i64", 11: "i128", 12: "f32",
         13: "f64", 14: "char", 15: "str", 16: "bytes", 17: "display", 18: "debug", 19: "error", 20: "unit", 21: "any", 22: "uuid", 23: "ip", 24: "socket", 25: "duration", 26: "time",
         32: "option", 33: "sequence", 34: "tuple", 35: "struct", 36: "enum"}
OPTION, SEQUENCE, TUPLE, STRUCT, ENUM = 32, 33, 34, 35, 36
ERROR, UNIT, ANY, WIDE, RESERVED, DEVICE = 19, 20, 21, (6, 11, 13, 22), 0xFFFF, 3
PLAIN, PARENT, ENTER, LEAVE, UPDATE, FOLLOWS, BEGIN, FINISH, TRACE = 0, 3, 4, 5, 7, 8, 9, 10, 11  # roles, §3.2
# What a record does to a span, as ttlog-view calls it.
STEPS = {2: "start", ENTER: "enter", LEAVE: "leave", 6: "end", UPDATE: "update", BEGIN: "begin", FINISH: "finish"}
ROLES = range(1, 14)
WITHHELD = {"withheld": True}  # in place of a value that is not there


class Capped(typing.NamedTuple):
    """What was kept of a text, of bytes or of a sequence, and the length it had."""

    kept: object
    full_len: int


class Nanoseconds(typing.NamedTuple):
    """A duration."""

    ns: int


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

    def length(self, first=None):
        """The length kept, and the one the value had before it was capped. `first` is its first byte, if that was read already."""
        first = self.take(1)[0] if first is None else first
        if first < 250:
            return first, first
        kept = struct.unpack("<I", self.take(4))[0]
        return kept, struct.unpack("<I", self.take(4))[0] if first == 251 else kept

    def split(self, tags, head):
        """Decodes a value of the type at the front of `tags` whose head was read already (§4.3)."""
        tag = tags[0]
        if not head:
            return self.value(tags)
        if tag in (5, 10):
            size = head[0] & 7
            number = int.from_bytes(self.take(8 if size == 7 else size), "little") << 5 | head[0] >> 3
            return number if tag == 5 else (number >> 1) ^ -(number & 1)
        if tag in (15, 16, 17, 18, SEQUENCE):
            return self.value(tags, head[0])
        return Bytes(head).value(tags)

    def value(self, tags, head=None):
        """Decodes a value of the type at the front of `tags`. `head` is its first byte, if that was read already."""
        tag = tags[0]
        if tag == 1:
            return self.take(1) != b"\0"
        if tag in FIXED:
            return struct.unpack(FIXED[tag], self.take(struct.calcsize(FIXED[tag])))[0]
        if tag == 5:
            return self.varint()
        if tag == 10:
            folded = self.varint()
            return (folded >> 1) ^ -(folded & 1)
        if tag in (6, 11):
            return int.from_bytes(self.take(16), "little", signed=tag == 11)
        if tag == 14:
            return chr(struct.unpack("<I", self.take(4))[0])
        if tag == UNIT:
            return None
        if tag == 22:
            return str(uuid.UUID(bytes=self.take(16)))
        if tag == 23:
            return ip_text(self.take({4: 4, 6: 16}[self.take(1)[0]]))
        if tag == 24:
            return self.socket(self.take(1)[0])
        if tag == 25:
            ns = self.varint()
            return Nanoseconds(self.seconds("<QI") if ns == 2**64 - 1 else ns)
        if tag == 26:
            ns = struct.unpack("<q", self.take(8))[0]
            return time_text(self.seconds("<qI") if ns == -(2**63) else ns)
        if tag == OPTION:
            return self.value(tags[1:]) if self.take(1) != b"\0" else None
        if tag == ANY:
            carried = self.carried_type()
            return self.value(carried) if carried else None
        if tag in (TUPLE, STRUCT, ENUM):
            return self.composite(tag, Description(tags[1:]))
        if tag not in (15, 16, 17, 18, ERROR, SEQUENCE):
            raise ValueError(f"unknown type tag {tag}")
        kept, full = self.length(head)
        if tag in (ERROR, SEQUENCE):
            inner = b"\x0f" if tag == ERROR else tags[1:]
            value = [self.value(inner) for _ in range(kept)]
        else:
            value = self.take(kept) if tag == 16 else self.take(kept).decode()
        return Capped(value, full) if full != kept else value

    def socket(self, form):
        ip = ip_text(self.take(4 if form == 4 else 16))
        port = struct.unpack("<H", self.take(2))[0]
        if form == 4:
            return f"{ip}:{port}"
        _flow, scope = struct.unpack("<II", self.take(8)) if form == 7 else (0, 0)
        return f"[{ip}%{scope}]:{port}" if scope else f"[{ip}]:{port}"

    def seconds(self, form):
        """Seconds and nanoseconds, as nanoseconds."""
        secs, nanos = struct.unpack(form, self.take(12))
        if nanos >= 10**9:
            raise ValueError(f"a second has no {nanos} nanoseconds")
        return secs * 10**9 + nanos

    def composite(self, tag, description):
        """A tuple, a struct or a variant, in the form that ttlog-view prints."""
        variant = None
        if tag != TUPLE:
            description.name()
        if tag == ENUM:
            index, count = self.take(1)[0], description.byte()
            if index >= 254:  # §6.5: withheld
                self.take(self.length()[0] if index == 255 else 0)
                return WITHHELD
            if index >= count:
                raise ValueError(f"no variant {index}")
            for _ in range(index):
                description.members()
            variant = description.name()
        members = [(b"", 0, of) for of in description.types()] if tag == TUPLE else description.members(named=False)
        values = [(name.decode(), WITHHELD if flags & 2 else value) for name, flags, value in
                  [(name, flags, self.value(of)) for name, flags, of in members]]
        if not values:
            return [] if tag == TUPLE else None if variant is None else variant.decode()
        inner = dict(values) if values[0][0] else [value for _, value in values]
        if variant is None:
            return inner
        return {variant.decode(): inner[0] if isinstance(inner, list) and len(inner) == 1 else inner}

    def carried_type(self):
        """The type of a value that carries it; empty if there is no value."""
        tags = self.take(1)
        while tags[-1] in (OPTION, SEQUENCE):
            tags += self.take(1)
        if tags[-1] in (ANY, TUPLE, STRUCT, ENUM) or tags[-1] == 0 and len(tags) > 1 or len(tags) > 8:
            raise ValueError(f"a value carries the type {tags.hex()}")
        return tags if tags[-1] else b""


def ip_text(octets):
    address = ipaddress.ip_address(octets)
    mapped = address.ipv4_mapped if address.version == 6 else None
    return f"::ffff:{mapped}" if mapped else str(address)


def time_text(unix_ns):
    """RFC 3339 with nine digits; outside of the years 1 to 9998 the seconds since 1970."""
    secs, nanos = divmod(unix_ns, 10**9)
    if not -62135596800 <= secs < 253370764800:
        sign, (secs, nanos) = "-" if unix_ns < 0 else "", divmod(abs(unix_ns), 10**9)
        return f"@{sign}{secs}.{nanos:09}" if nanos else f"@{sign}{secs}"
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=secs)
    return f"{date.isoformat(timespec='seconds')}.{nanos:09}Z"


class Description:
    """The rest of the description of a type (§4.2)."""

    def __init__(self, rest):
        self.rest = rest

    def byte(self):
        byte, self.rest = self.rest[0], self.rest[1:]
        return byte

    def name(self):
        size = self.byte()
        name, self.rest = self.rest[:size], self.rest[size:]
        return name

    def members(self, named=True):
        """Name, flags and type of each member, after the name of the struct or the variant."""
        if named:
            self.name()
        found = []
        for _ in range(self.byte()):
            flags = self.byte()
            found.append((self.name(), flags, self.type()))
        return found

    def withholds(self):
        """Whether a member is withheld, at any depth."""
        tag = self.byte()
        if tag in (OPTION, SEQUENCE):
            return self.withholds()
        if tag == TUPLE:
            return any([Description(of).withholds() for of in self.types()])
        count = 1
        if tag == ENUM:
            self.name()
            count = self.byte()
        found = [self.members() for _ in range(count)] if tag in (STRUCT, ENUM) else []
        return any(flags & 2 or Description(of).withholds() for members in found for _, flags, of in members)

    def types(self):
        return [self.type() for _ in range(self.byte())]

    def type(self):
        """The description of one type."""
        before, tag = self.rest, self.byte()
        if tag in (OPTION, SEQUENCE):
            self.type()
        elif tag == TUPLE:
            self.types()
        elif tag == STRUCT:
            self.members()
        elif tag == ENUM:
            self.name()
            for _ in range(self.byte()):
                self.members()
        return before[: len(before) - len(self.rest)]


def type_name(tags):
    return NAMES[tags[0]] + (f"<{type_name(tags[1:])}>" if tags[0] in (OPTION, SEQUENCE) else "")


def items(data):
    """The intact items of a snapshot: (kind, body)."""
    return ((kind, body) for _, kind, body in placed_items(data))


def placed_items(data):
    """The intact items of a snapshot: (offset, kind, body) (§6)."""
    at = data.find(MAGIC)
    while at >= 0:
        file = io.BytesIO(data)
        file.seek(at)
        try:
            _, kind, body, crc = cbor2.load(file)
            right = zlib.crc32(body + bytes([kind]))
            if crc not in (right, right ^ 0xFFFFFFFF):
                raise ValueError("checksum")
            if crc == right:  # else it is void
                yield at, kind, body
            at = data.find(MAGIC, file.tell())
        except (cbor2.CBORDecodeError, ValueError, TypeError):
            print(f"item at {at} is damaged", file=sys.stderr)
            at = data.find(MAGIC, at + 1)


def ring_len(data, at):
    """The length that the header of a ring states; None if there is no ring."""
    if data[at : at + 8] != b"TTLOGRNG" or len(data) < at + 160:
        return None
    version, = struct.unpack_from("<H", data, at + 8)
    segment_len, count, segments_offset = struct.unpack_from("<IIQ", data, at + 24)
    covered = data[at : at + 56] + (data[at + 60 : at + 64] if version >= 2 else b"")
    if zlib.crc32(covered) != struct.unpack_from("<I", data, at + 56)[0]:
        return None
    return segments_offset + count * segment_len


def recordings(data):
    """The recordings in a file whose rings are whole: (is it a ring, bytes) (§8). Bytes between them are left out."""
    at = 0
    while at < len(data):
        length = ring_len(data, at)
        if length is not None:
            yield True, data[at : at + length]
            at += length
            continue
        end = next((later for later in range(at + 1, len(data)) if ring_len(data, later) is not None), len(data))
        yield from ((False, part) for part in snapshots(data[at:end]))
        at = end


def snapshots(data):
    """The snapshots in bytes without rings (§8)."""
    start, ended, has_items, has_process = 0, False, False, False
    for at, kind, body in placed_items(data):
        is_process = kind == 1 and cbor2.loads(body)[0] == 1
        if has_items and (kind == 0 or is_process and has_process or ended and kind <= 3):
            yield data[start:at]
            start, ended, has_process = at, False, False
        has_items, ended, has_process = True, ended or kind == 3, has_process or is_process
    if has_items:
        yield data[start:]


def column_records(columns, raw_len):
    """Undoes §6.3: the records, as header (without check) and payload words."""
    source = Bytes(columns)

    def number(size):
        return int.from_bytes(source.take(size), "little")

    def planes(count, width):
        data = source.take(count * width)
        return [sum(data[byte * count + i] << 8 * byte for byte in range(width)) for i in range(count)]

    def sums(count):
        total, found = 0, []
        for difference in planes(count, 8):
            total = (total + ((difference >> 1) ^ -(difference & 1))) % 2**64
            found.append(total)
        return found

    def column(form, count):
        if 1 <= form <= 8:
            entries = [number(form) for _ in range(number(1) + 1)]
            places = source.take(count)
            return [entries[place] | upper << 8 * form for place, upper in zip(places, planes(count, 8 - form))]
        if form == 0:
            return planes(count, 8)
        if form == 10:
            return sums(count)
        if 16 <= form <= 31:
            signed = [total - 2**64 if total >= 2**63 else total for total in sums(count)]
            return [struct.unpack("<Q", struct.pack("<d", float(whole) / float(10 ** (form - 16))))[0] for whole in signed]
        if 32 <= form <= 127:
            start, moved = (form - 32) // 24, (form - 32) % 24 // 8 + 1
            found = [turned.to_bytes(8, "little") for turned in column((form - 32) % 8 + 1, count)]
            return [int.from_bytes(turned[:start] + turned[8 - moved :] + turned[start : 8 - moved], "little") for turned in found]
        raise ValueError(f"unknown form {form}")

    n, s = number(2), number(2)
    places = source.take(n)
    shapes = [(number(2), number(2)) for _ in range(s)]
    differences, payloads = planes(n, 4), {}
    for place, (_, words) in enumerate(shapes):
        count = places.count(place)
        forms = source.take(words)
        found = [None if form == 9 else column(form, count) for form in forms]
        payloads[place] = iter([[number(8) if words is None else words[i] for words in found] for i in range(count)])
    delta, records = 0, []
    for place, difference in zip(places, differences):
        delta = (delta + difference) % 2**32
        records.append((shapes[place][0], min(shapes[place][1], 255), delta, next(payloads[place])))
    if source.read(1) or sum(8 + 8 * len(payload) for *_, payload in records) != raw_len:
        raise ValueError("columns of a wrong length")
    return records


def record_at(words, at, lap, mode):
    """The record whose header is at `at`: (words it takes, header's parts and payload); None if it is not valid (§4.1, §2.6)."""
    header = words[at]
    callsite, length, delta, check = header & 0xFFFF, header >> 16 & 0xFF, header >> 24 & 0xFFFFFFFF, header >> 56
    if mode == DEVICE and callsite == RESERVED:  # nothing else vouches for it
        return (1 + length, (callsite, length, delta, [])) if at + 1 + length <= len(words) else None
    count = words[at + 1] if length == 255 and at + 1 < len(words) else length
    covered = () if callsite == RESERVED else words[at + 1 : at + 1 + count]
    count = delta if callsite == RESERVED else count
    mixed = header & (1 << 56) - 1 ^ lap
    for word in covered:
        mixed ^= word
    vouched = mixed * 0x0101010101010101 >> 56 & 0xFF == check
    if header == 0 or at + 1 + count > len(words) or (length == 255 and count < 255) or not vouched:
        return None
    return 1 + count, (callsite, length, delta, list(covered))


def plain_records(raw, lap, mode, count):
    """The records of a segment of `count` events, as they are in a ring; pending and damaged ones are passed over (§4.1)."""
    words, at, records = struct.unpack(f"<{len(raw) // 8}Q", raw), 0, []

    def after_zeros(at):
        return next((later for later in range(at, len(words)) if words[later]), len(words))

    def rest(at):
        """The events from `at` to the end, and on a device the reservations, if all records are valid there."""
        events = 0
        while at < len(words):
            if mode == DEVICE and words[at] == 0:
                events, at = events + 1, after_zeros(at)
                continue
            found = record_at(words, at, lap, mode)
            if found is None:
                return None
            events += found[1][0] != 0
            at += found[0]
        return events

    def reservation_size(at, size, expected):
        """What a device's reservation takes, although a bit of its length may be wrong (§2.6); `None`: there is no such place."""
        by_len = rest(at + size)
        if by_len is not None and by_len >= expected:
            return size
        places = (later for later in range(at + 1, len(words) + 1) if later == len(words) or words[later])
        return next((later - at for later in places if rest(later) == expected), None)

    reserved, doubts = 0, 8
    while at < len(words):
        found = record_at(words, at, lap, mode)
        if found is not None:
            size, record = found
            if record[0] != RESERVED:
                records.append(record)
            elif mode == DEVICE:
                reserved += 1
                better = reservation_size(at, size, count - reserved - sum(earlier[0] != 0 for earlier in records)) if doubts else size
                doubts -= better is None
                size = better or size
            if record[0] == 0 and record[2] == 3:  # abandoned: the count may be that from before the boot
                doubts = 0
            at += size
        elif words[at] == 0 and mode != 0:  # reserved, nothing stored
            reserved, at = reserved + 1, after_zeros(at)
        else:
            missing = count - sum(record[0] != 0 for record in records)
            places = {later: rest(later) for later in range(at + 1, len(words) + 1)}
            at = next((later for later, events in places.items() if events in (missing - 1, missing)), len(words))
    return records


def segment_events(body):
    """The events of a segment: (ticks, context, callsite, payload), and (context, name) of its context records (§6.2, §4.4)."""
    (index, sequence, context, mode, lap, base, close_ticks, lost, count, pending, damaged, codec, raw_len, data, *more) = cbor2.loads(body)
    if more and more[0] and (count or data):
        raise ValueError(f"segment {index}: {more[0]} events are left out, and there are records")
    if codec == 0:
        raw = data
    else:
        raw = lz4.block.decompress(data, uncompressed_size=raw_len if codec == 1 else raw_len + raw_len // 8 + 8)
    records = column_records(raw, raw_len) if codec == 2 else plain_records(raw, lap, mode, count + (damaged if mode == 0 else pending))
    events, names = events_of(records, context, mode, base)
    if len(events) != count:
        raise ValueError(f"segment {index}: {count} events announced, {len(events)} read")
    return sequence, events, names


def events_of(records, context, mode, base):
    """The events among the records of a segment, and the names of contexts (§4.4)."""
    events, names = [], {}
    for callsite, length, delta, payload in records:
        payload = payload[1:] if length == 255 else payload
        if callsite == 0 and delta == 1:
            base = payload[0]
        elif callsite == 0 and delta == 2:
            packed = Bytes(struct.pack(f"<{len(payload)}Q", *payload))
            named, _thread, _next = packed.varint(), packed.varint(), packed.varint()
            names[named] = packed.value(b"\x0f")
            context = named if mode == 0 else context
        elif callsite != 0:
            who = context
            if mode == 2:
                who, delta, payload = payload[0] & 0xFFFFFFFF, delta | payload[0] >> 32 << 32, payload[1:]
            if mode == DEVICE:  # §2.6: the lower half of the clock, told from that of the record before
                on = (delta - base) % 2**32
                base = (base + on - (2**32 if on >= 2**32 - 2**28 else 0)) % 2**64
                who, delta = 0, 0
            events.append(((base + delta) % 2**64, who, callsite, payload))
    return events, names


def mix(covered):
    """What vouches for the header of a device's segment (§2.6)."""
    total = 0x54544C47
    for half in struct.unpack("<7I", covered):
        total = (total ^ half) * 0x9E3779B1 % 2**32
        total ^= total >> 15
    return total


def mended(covered, stored):
    """The covered bytes, with a flipped bit put right; None if that does not explain it."""
    if bin(mix(covered) ^ stored).count("1") <= 1:
        return covered
    for bit in range(len(covered) * 8):
        flipped = bytearray(covered)
        flipped[bit // 8] ^= 1 << bit % 8
        if mix(flipped) == stored:
            return bytes(flipped)
    return None


def device_ring(data):
    """The sessions and the events of a device's ring: (boot, sequence, index in the segment, ticks, callsite, payload) (§2.6)."""
    magic, _version, reader, header_len, _ring_id, segment_len, count, segments_offset = struct.unpack_from("<8sHHIQIIQ", data)
    stored = struct.unpack_from("<I", data, 56)[0]
    if magic != b"TTLOGRNG" or reader > 3 or zlib.crc32(data[:56] + data[60:64]) != stored or not 168 <= header_len < 1536:
        raise ValueError("not the ring of a device")
    sessions = []
    for at in range(168, header_len - 47, 48):
        boot, crc, build_id, reason, rate, flags, first = struct.unpack_from("<II20sIIIQ", data, at)
        if boot and zlib.crc32(data[at : at + 4] + data[at + 8 : at + 48]) == crc:
            sessions.append({"session": boot, "build_id": build_id.hex(), "reset_reason": reason, "ticks_per_second": rate,
                             "flags": flags, "first_sequence": first})
    events = []
    for at in range(segments_offset, segments_offset + count * segment_len, segment_len):
        stored, = struct.unpack_from("<I", data, at + 20)
        word, = struct.unpack_from("<Q", data, at)
        if word == 0 and data[at + 16 : at + 24] == bytes(8):
            continue  # never used
        covered = bytearray(data[at : at + 20] + data[at + 24 : at + 32])
        covered[7] &= 0x0F
        whole = mended(bytes(covered), stored)
        if whole is None:  # damaged, or being opened
            continue
        word, base, boot, _lost = struct.unpack("<QQIQ", whole)
        if word >> 56 & 0xF != DEVICE:
            raise ValueError("a segment that is not a device's")
        commit, = struct.unpack_from("<I", data, at + 32)
        start = at + 48
        raw = data[start : min(start + (commit & 0x3FFF) * 8, at + segment_len)]
        found, _ = events_of(plain_records(raw, word >> 48 & 0xFF, DEVICE, commit >> 14 & 0x3FFF), 0, DEVICE, base)
        for index, (ticks, _, callsite, payload) in enumerate(found):
            events.append((boot, word & 2**48 - 1, index, ticks, callsite, payload))
    return sorted(sessions, key=lambda session: session["session"]), sorted(events)


def literal(tags, value):
    """The value of a literal (§3.2)."""
    if tags[0] == 14:
        return chr(value)
    return int.from_bytes(value, "big", signed=tags[0] == 11) if tags[0] in (6, 11) else value


def head_len(tags):
    """The bytes of a value that are in front of the tails of all (§4.3)."""
    if tags[0] in (1, 2, 5, 7, 10, 15, 16, 17, 18, SEQUENCE):
        return 1
    return {3: 2, 8: 2, 4: 4, 9: 4, 12: 4, 14: 4}.get(tags[0], 0)


def fields_of(kind, callsite_fields, payload):
    """Name, type and value of each field, in source order (§4.3)."""
    packed, values, types = Bytes(struct.pack(f"<{len(payload)}Q", *payload)), {}, {}
    dynamic = [at for at, field in enumerate(callsite_fields) if len(field) == 2 or field[2] is None]
    withheld = {at for at, field in enumerate(callsite_fields) if len(field) > 3 and field[3] & 2}
    readable = dynamic
    any_withheld = withheld.intersection(dynamic) or any(Description(callsite_fields[at][1]).withholds() for at in dynamic)
    if payload and set(payload) == {2**64 - 1} and any_withheld:  # §6.5: all of it is withheld
        withheld.update(dynamic)
        readable = []
    is_wide = {at: callsite_fields[at][1][0] in WIDE for at in readable}
    for at in readable:
        if is_wide[at]:
            types[at] = callsite_fields[at][1]
            values[at] = packed.value(types[at])
    heads = {at: packed.take(head_len(callsite_fields[at][1]) if kind == 3 else 0) for at in readable if not is_wide[at]}
    for at, head in heads.items():
        tags = callsite_fields[at][1]
        types[at] = packed.carried_type() if tags[0] == ANY else tags
        values[at] = packed.split(types[at], head) if types[at] else None
    for at, (name, tags, *more) in enumerate(callsite_fields):
        if types.get(at) == b"":
            continue  # the event does not have this field
        value = WITHHELD if at in withheld else values[at] if at in dynamic else literal(tags, more[0])
        kind = type_name(tags) + (f"<{type_name(types[at])}>" if tags[0] == ANY and at in types else "")
        role = more[1] >> 2 & 15 if len(more) > 1 else 0
        yield {"name": name, "type": kind, "value": value, "role": role if role in ROLES else PLAIN}


class Spans:
    """The spans of a recording (§3.2), from its events in the order of time."""

    def __init__(self, events):
        self.names, self.parents, self.traces = {}, {}, {}
        inside = {}
        for event in events:
            entered = inside.setdefault(event["context"], [])
            roles = {field["role"]: field["value"] for field in event["fields"]}
            step = next((role for role in roles if role == 1 or role in STEPS), None)
            event["span_id"] = (entered[-1] if entered else 0) if step is None else roles[step]
            event["span_record"] = self.word(step, roles)
            if step is not None and event["span_id"]:
                self.take(event["span_id"], step, roles, event, entered)
        for event in events:
            path = self.path(event["span_id"])
            event["spans"] = [self.names.get(span) for span in path]
            event["trace_id"] = next((self.traces[span] for span in reversed(path) if span in self.traces), None)

    @staticmethod
    def word(step, roles):
        if step == UPDATE and (PARENT in roles or roles.get(FOLLOWS)):
            return "repeat" if PARENT in roles else "follows"
        return STEPS.get(step)

    def take(self, span, step, roles, event, entered):
        if step in (2, BEGIN):
            self.names[span] = event["message"]
            self.parents[span] = roles.get(PARENT, entered[-1] if entered else 0)
        elif step == UPDATE and PARENT in roles:  # in place of a start that is lost
            self.names.setdefault(span, event["message"])
            self.parents.setdefault(span, roles[PARENT])
        if roles.get(TRACE):
            self.traces.update(dict.fromkeys(self.path(span), f"{roles[TRACE]:032x}"))
        if step in (ENTER, BEGIN):
            entered.append(span)
        if step in (LEAVE, FINISH) and span in entered:
            del entered[len(entered) - 1 - entered[::-1].index(span)]

    def path(self, span):
        """The span and all around it, the outermost first."""
        found = []
        while span and span not in found:
            found.insert(0, span)
            span = self.parents.get(span, 0)
        return found


class Clock:
    """Reads a clock by its anchors (§2.2)."""

    def __init__(self, anchors, ticks_per_second):
        self.anchors = sorted(anchors)
        pairs = list(zip(self.anchors, self.anchors[1:]))
        rates = sorted(Fraction(n1 - n0, t1 - t0) for (t0, n0), (t1, n1) in pairs if t1 > t0 and n1 - n0 >= 100_000_000)
        if len(rates) >= 3:
            self.rate = rates[(len(rates) - 1) // 2]
        elif ticks_per_second:
            self.rate = Fraction(1_000_000_000, ticks_per_second)
        else:
            self.rate = self.between(0, -1, 100_000_000, 0) or Fraction(1)
        # For each anchor the length of the step in the interval before it, or None.
        self.steps = [None]
        for (t0, n0), (t1, n1) in pairs:
            expected = floor((t1 - t0) * self.rate)
            jump = n1 - n0 - expected
            self.steps.append(jump if n1 < n0 or abs(jump) > 1_000_000 + expected // 1000 else None)
        last = len(self.anchors) - 1
        self.head = self.end_rate(0, range(1, last + 1))
        self.tail = self.end_rate(last, range(last - 1, -1, -1))

    def between(self, a, b, span, steps):
        if not self.anchors:
            return None
        (t0, n0), (t1, n1) = self.anchors[a], self.anchors[b]
        ns = n1 - n0 - steps
        return Fraction(ns, t1 - t0) if t1 > t0 and ns >= span else None

    def end_rate(self, end, others):
        tries = [(other, 1_000_000_000) for other in others] + [(other, 100_000_000) for other in list(others)[-1:]]
        for other, span in tries:
            a, b = min(end, other), max(end, other)
            found = self.between(a, b, span, sum(step or 0 for step in self.steps[a + 1 : b + 1]))
            if found is not None:
                return found
        return self.rate

    def unix_ns(self, ticks):
        if not self.anchors:
            return floor(ticks * self.rate)
        if ticks < self.anchors[0][0]:
            return self.anchors[0][1] - floor((self.anchors[0][0] - ticks) * self.head)
        at = bisect_right(self.anchors, [ticks, inf]) - 1
        t0, n0 = self.anchors[at]
        if at + 1 == len(self.anchors):
            rate = self.tail
        else:
            rate = self.rate if self.steps[at + 1] is not None else self.between(at, at + 1, 0, 0)
        return n0 + floor((ticks - t0) * rate)


def read(data):
    """Header, process and events of a snapshot."""
    header, process, callsites, segments, names, end = None, {}, {}, [], {}, None
    for kind, body in items(data):
        if kind == 0:
            header = cbor2.loads(body)
            if header[1] > 4:
                raise ValueError(f"needs a reader of version {header[1]}")
        elif kind == 1:
            entry = cbor2.loads(body)
            if entry[0] == 1:
                process = entry[1]
            elif entry[0] in (2, 3) and callsites.setdefault(entry[1], (entry[0], *entry[2:8])) != (entry[0], *entry[2:8]):
                raise ValueError(f"callsite {entry[1]} is defined twice, differently")
        elif kind == 2:
            sequence, events, named = segment_events(body)
            segments.append((sequence, events))
            names.update(named)
        elif kind == 3:
            end = cbor2.loads(body)
    if end is None:
        print("the snapshot was cut off", file=sys.stderr)
    clock = Clock(header[5], process.get(7, 0))
    is_since_boot = 18 in header and not header[5]  # a device that knows no wall clock
    events = []
    for _, found in sorted(segments, key=lambda segment: segment[0]):
        for ticks, context, callsite, payload in found:
            kind, level, target, message, file, line, callsite_fields = callsites[callsite]
            unix_ns = None if is_since_boot else clock.unix_ns(ticks)
            events.append({"ticks": ticks, "unix_ns": unix_ns, "level": LEVELS[level], "target": target,
                           "message": message, "file": file, "line": line, "context": context, "context_name": names.get(context),
                           "fields": list(fields_of(kind, callsite_fields, payload))})
    Spans(sorted(events, key=lambda event: event["ticks"]))
    return header, process, events


def read_records(data):
    """The events of a snapshot as its segments have them: (ticks, callsite, payload)."""
    segments = sorted(segment_events(body)[:2] for kind, body in items(data) if kind == 2)
    return [(ticks, callsite, payload) for _, events in segments for ticks, _, callsite, payload in events]


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, "rb") as opened:
            content = opened.read()
        for is_ring, recording in recordings(content):
            if not is_ring:
                for event in read(recording)[2]:
                    print(json.dumps(event, default=lambda value: value.hex()))
                continue
            sessions, recorded = device_ring(recording)
            for session in sessions:
                print(json.dumps(session))
            for boot, _, _, ticks, callsite, payload in recorded:
                print(json.dumps({"session": boot, "ticks": ticks, "callsite": callsite,
                                  "payload": struct.pack(f"<{len(payload)}Q", *payload).hex()}))
