"""Compares what ttlog_reader.py and ttlog-view read from a file of snapshots, event by event and field by field.

`python compare.py SNAPSHOT VIEW.ndjson EVENTS_AT_LEAST`: the second is what `ttlog-view --format ndjson --span-records SNAPSHOT` printed.
"""

import json
import math
import struct
import sys

import ttlog_reader


def as_json(value, tags):
    """What ttlog-view's README says it prints for a value."""
    if isinstance(value, ttlog_reader.Nanoseconds):
        return {"ns": value.ns}
    if isinstance(value, ttlog_reader.Capped):
        kept = as_json(value.kept, tags)
        inner = kept if isinstance(value.kept, bytes) else {"items" if isinstance(value.kept, list) else "text": kept}
        return {**inner, "full_len": value.full_len}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return [as_json(element, tags) for element in value]
    if isinstance(value, dict):
        return {name: as_json(member, tags) for name, member in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def same(ours, theirs, kind):
    """Whether two JSON values are the same: of one type (1 is neither 1.0 nor true), floats to the bit."""
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(same(a, b, kind) for a, b in zip(ours, theirs))
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and ours.keys() == theirs.keys() and all(same(ours[key], theirs[key], kind) for key in ours)
    if isinstance(ours, float) and isinstance(theirs, float):
        form = "<f" if "f32" in kind else "<d"
        return struct.pack(form, ours) == struct.pack(form, theirs)
    return type(ours) is type(theirs) and ours == theirs


def differences(event, shown):
    """What differs between an event as read here and as printed by ttlog-view."""
    for ours, theirs in (("ticks", "ticks"), ("unix_ns", "unix_ns"), ("level", "level"), ("target", "target"), ("message", "template"),
                         ("file", "file"), ("line", "line"), ("context", "context"), ("context_name", "thread")):
        if event[ours] != shown[theirs]:
            yield theirs, event[ours], shown[theirs]
    for what in ("span_id", "span_record", "trace_id"):
        # Absent where an event is in no span.
        if (event[what] or None) != shown.get(what):
            yield what, event[what], shown.get(what)
    spans = [span["name"] for span in shown.get("spans", [])]
    if event["spans"] != spans:
        yield "spans", event["spans"], spans
    # The ids of spans stand beside the fields.
    plain = [field for field in event["fields"] if field["role"] == ttlog_reader.PLAIN]
    names = [field["name"] for field in plain]
    if names != list(shown["fields"]):
        yield "names of fields", names, list(shown["fields"])
        return
    for field in plain:
        ours, theirs = as_json(field["value"], field["type"]), shown["fields"][field["name"]]
        if not same(ours, theirs, field["type"]):
            yield f"field {field['name']}: {field['type']}", ours, theirs


def main(snapshot, ndjson, at_least):
    with open(snapshot, "rb") as file:
        snapshots = [data for is_ring, data in ttlog_reader.recordings(file.read()) if not is_ring]
    events = [event for data in snapshots for event in ttlog_reader.read(data)[2]]
    with open(ndjson, encoding="utf-8") as file:
        shown = [json.loads(line) for line in file]
    for found in (events, shown):
        # A device has a clock of its own.
        found.sort(key=lambda event: (event["unix_ns"] is None, event["ticks"]))
    wrong, kinds = 0, set()
    for event, other in zip(events, shown):
        kinds.update(field["type"] for field in event["fields"])
        for what, ours, theirs in differences(event, other):
            wrong += 1
            if wrong <= 20:
                print(f"{event['file']}:{event['line']} {what}:\n  reader {str(ours)[:300]}\n  view   {str(theirs)[:300]}")
    missing = [name for name in ttlog_reader.NAMES.values() if not any(name in kind for kind in kinds)]
    if missing:
        sys.exit(f"{snapshot}: no value of the types {', '.join(missing)}")
    steps = {event["span_record"] for event in events}
    missing = [word for word in ("repeat", "follows", *ttlog_reader.STEPS.values()) if word not in steps]
    if missing or not any(event["trace_id"] for event in events):
        sys.exit(f"{snapshot}: no record of spans of the kinds {', '.join(missing) or 'that name a trace'}")
    if wrong or len(events) != len(shown) or len(events) < at_least:
        sys.exit(f"{snapshot}: {wrong} differences; {len(events)} events read here, {len(shown)} by ttlog-view, at least {at_least} expected")
    print(f"{snapshot}: {len(events)} events with {len(kinds)} types of fields are the same")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
