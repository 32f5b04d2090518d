"""Compares the ring of a device with the snapshot that was made of one of its sessions, both read by ttlog_reader.py.

`python compare_ring.py RING SNAPSHOT EVENTS`: they must have the same events of that session, so many.
"""

import sys

import cbor2
import ttlog_reader


def main(ring, snapshot, count):
    with open(ring, "rb") as file:
        sessions, events = ttlog_reader.device_ring(file.read())
    with open(snapshot, "rb") as file:
        data = file.read()
    header = next(cbor2.loads(body) for kind, body in ttlog_reader.items(data) if kind == 0)
    boot, reason = header[18]
    session = next((session for session in sessions if session["session"] == boot), None)
    if session is None or session["reset_reason"] != reason:
        sys.exit(f"{ring}: session {boot} with reset reason {reason} is not among {sessions}")
    ours = [event[3:] for event in events if event[0] == boot]
    theirs = ttlog_reader.read_records(data)
    if ours != theirs or len(ours) != count:
        sys.exit(f"{ring}: {len(ours)} events of session {boot}, in {snapshot} {len(theirs)}, {count} expected")
    print(f"{ring}: session {boot} has the same {count} events as {snapshot}, of {len(sessions)} sessions")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
