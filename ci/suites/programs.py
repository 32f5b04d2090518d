"""Programs of others, with our two lines: works with them, kills them, and compares their rings with their consoles.

`patch PROGRAM DIRECTORY` applies the change that docs/programs.md shows for PROGRAM to its sources. `try BINARIES VIEWER`
runs the programs in BINARIES (`alone/` has those without our lines), and fails at the first difference.
"""

import collections
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]


def patch(program, directory):
    """Applies the diff below the heading of a program. It has no line numbers: what it replaces is there only once."""
    text = open("docs/programs.md").read()
    section = text.split(f"\n## {program}\n", 1)[1].split("\n## ", 1)[0]
    diff = re.search(r"```diff\n(.*?)```", section, re.DOTALL).group(1)
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        path = os.path.join(directory, name)
        content = open(path).read()
        for hunk in "\n".join(lines).split("\n@@\n"):
            hunk = hunk.splitlines()
            old, new = ("".join(f"{line[1:]}\n" for line in hunk if line[0] in keep) for keep in (" -", " +"))
            if content.count(old) != 1:
                sys.exit(f"{program}: found {content.count(old)} times in {name}:\n{old}")
            content = content.replace(old, new)
        open(path, "w").write(content)


class Recordings:
    """A directory for the rings of one program."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.directory = tempfile.mkdtemp(prefix="ttlog-programs-")
        self.rings = os.path.join(self.directory, "rings")
        self.environment = {
            **os.environ,
            "TTLOG_DIR": self.rings,
            "TTLOG_SNAPSHOT_DIR": self.directory,
            "NO_COLOR": "1",
        }
        for name in ["RUST_LOG", "TTLOG_FILTER", "TTLOG", "CARGO_TARGET_DIR"]:
            self.environment.pop(name, None)

    def start(self, *command, **more):
        """Starts a program with its console in a file, and returns the process and the path of that."""
        console = tempfile.NamedTemporaryFile(dir=self.directory, delete=False)
        environment = {**self.environment, **more.pop("env", {})}
        output = {"stdin": subprocess.DEVNULL, "stdout": console, "stderr": console, **more}
        process = subprocess.Popen(command, env=environment, **output)
        return process, console.name

    def ring(self, process):
        """The ring of a dead process, or the snapshot that the next start has made of it."""
        files = [os.path.join(place, name) for place in [self.rings, self.directory] for name in os.listdir(place)]
        [path] = [path for path in files if re.search(rf"ttlog-.*-{process.pid}-.*[.](ring|bin)$", path)]
        return path

    def view(self, process, *arguments):
        """Shows the ring of a dead process. Fails if it cannot be read or is damaged."""
        command = [self.viewer, *arguments, self.ring(process)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def events(self, process):
        check("nothing lost" in (counted := self.view(process, "--stats")), counted)
        return [json.loads(line) for line in self.view(process, "--format", "ndjson").splitlines()]

    def spans(self, process):
        spans = [json.loads(line) for line in self.view(process, "--format", "ndjson", "--spans").splitlines()]
        return [(span["span"]["name"], span["state"]) for span in spans]


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def kill(*processes):
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        check(process.wait() == -signal.SIGKILL, f"{process.args[0]} was to be killed, but ended with {process.returncode}")


def wait_for(what, holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"waited in vain for {what}")
        time.sleep(0.02)


def lines(path):
    """The lines of a console, without the one of a recorder that finds the ring of a process that was killed before."""
    text = open(path, errors="replace").read()
    return [line for line in text.splitlines() if not line.startswith("ttlog: recovered the events")]


def settled(*paths):
    """Waits until no console has got a new line for a while."""
    sizes = None
    while sizes != (sizes := [os.path.getsize(path) for path in paths]):
        time.sleep(0.5)


def fmt_text(event):
    """An event in the words of the layer `fmt` of tracing-subscriber."""

    def pairs(fields):
        return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in fields.items())

    text = event["level"] + " "
    for span in event.get("spans", []):
        fields = {name: value for name, value in span.items() if name != "name"}
        fields.update(fields.pop("fields", {}))
        text += span["name"] + (f"{{{pairs(fields)}}}" if fields else "") + ":"
    text += " " if event.get("spans") else ""
    own = {name: value for name, value in event["fields"].items() if name != "message"}
    return text + " ".join(part for part in [event["target"] + ":", event["message"], pairs(own)] if part)


def fmt_line(line):
    """The same of a line of `fmt`: without the time, which differs. Such values hold it that have addresses of memory."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
    found = re.search(r"(?:^| )(ERROR|WARN|INFO|DEBUG|TRACE) (.*)$", line)
    check(found, f"not a line of an event: {line}")
    return f"{found[1]} {found[2]}"


def compare(program, console, ring, more=0):
    """Requires the same events on both sides, each as often; up to `more` that were not on the console yet."""
    console, ring = collections.Counter(console), collections.Counter(ring)
    check(console.total() > 0, f"{program}: the console is empty")
    check(not console - ring, f"{program}: on the console, but not in the ring: {list(console - ring)[:5]}")
    check((ring - console).total() <= more, f"{program}: in the ring, but not on the console: {list(ring - console)[:5]}")
    return console.total()


def at_least(level, events):
    return [event for event in events if LEVELS.index(event["level"]) <= LEVELS.index(level)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# bore-cli: two processes, tokio, spans of tasks ----------------------------------------------------------------------


def echo_server():
    """Echoes what it gets, and returns its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        while data := connection.recv(4096):
            connection.sendall(data)

    def accept():
        while True:
            threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1]


def bore(binaries, recordings):
    bore = os.path.join(binaries, "bore")
    control = "127.0.0.1"
    server, server_console = recordings.start(bore, "server", "--min-port", "20000", "--max-port", "30000")
    wait_for("bore's server", lambda: is_open(7835))
    client, client_console = recordings.start(bore, "local", str(echo_server()), "--to", control)
    found = []
    wait_for("the tunnel", lambda: found.extend(re.findall(r"listening at \S+:(\d+)", open(client_console).read())) or found)
    kept = []
    for number in range(40):
        connection = socket.create_connection((control, int(found[0])))
        connection.sendall(b"%d" % number)
        check(connection.recv(16) == b"%d" % number, "the tunnel does not echo")
        if number % 4:
            connection.close()
        else:
            kept.append(connection)
    settled(server_console, client_console)
    kill(server, client)
    counted = []
    for process, console, begun in [
        (server, server_console, "incoming connection"),
        (client, client_console, "new connection"),
    ]:
        events = recordings.events(process)
        shown = lines(console)
        compared = compare("bore", map(fmt_line, shown), map(fmt_text, at_least("INFO", events)))
        # The spans that are open are those of the connections whose end is not on the console.
        of = "control" if process == server else "proxy"
        states = [state for name, state in recordings.spans(process) if name == of]
        open_count = states.count("open")
        count = lambda text: sum(text in line for line in shown if f" {of}{{" in line)
        check(len(states) == count(begun) >= 40, f"bore: {len(states)} spans {of}, {count(begun)} begun")
        check(open_count == count(begun) - count("connection exited"), f"bore: {open_count} spans are open")
        check(open_count >= len(kept), f"bore: {open_count} open spans, {len(kept)} open connections")
        counted.append((compared, len(events), len(states), open_count))
    return "server: {} lines of {} events, {} spans, {} open; client: {} lines of {} events, {} spans, {} open".format(
        *counted[0], *counted[1]
    )


# mini-redis: `init` in place of the subscriber -------------------------------------------------------------------------


def redis_work(port):
    """Talks to a server on five connections, and returns them, still open."""

    def ask(connection, *words):
        words = [word.encode() for word in words]
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        check(connection.recv(4096), "no answer")

    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    for number in range(200):
        connection = connections[number % 5]
        ask(connection, "set", f"key {number}", "x" * number)
        ask(connection, "get", f"key {number}")
        if number % 20 == 0:
            ask(connection, "nonsense", "word")
    ask(connections[0], "get", "missing")
    return connections


def mini_redis(binaries, recordings):
    # Its own subscriber is replaced, so its console is that of the program as it was published.
    processes, consoles, kept = [], [], []
    for place in ["alone", ""]:
        port = free_port()
        server = os.path.join(binaries, place, "mini-redis-server")
        process, console = recordings.start(server, "--port", str(port), env={"RUST_LOG": "trace"})
        wait_for("mini-redis", lambda port=port: is_open(port))
        kept.append(redis_work(port))
        processes.append(process)
        consoles.append(console)
    settled(*consoles)
    kill(*processes)
    check(not lines(consoles[1]), f"mini-redis: the console is not empty: {lines(consoles[1])[:5]}")
    own = [line for line in map(fmt_line, lines(consoles[0])) if "mini_redis::" in line]
    events = recordings.events(processes[1])
    ours = [fmt_text(event) for event in events if event["target"].startswith("mini_redis::")]
    compared = compare("mini-redis", own, ours)
    spans = recordings.spans(processes[1])
    open_spans = collections.Counter(name for name, state in spans if state == "open")
    check(open_spans == {"run": len(kept[1])}, f"mini-redis: open spans {open_spans}")
    return f"{compared} lines of {len(events)} events, {len(spans)} spans, {open_spans.total()} open"


# cargo-sweep: fern, beside us; oxipng: env_logger, beside us, on several threads ---------------------------------------


def killed_after(recordings, fraction, *command, **more):
    """Runs a program to its end, and once more until it has written a fraction of that; returns both."""
    whole, console = recordings.start(*command, **more)
    check(whole.wait(timeout=300) == 0, f"{command[0]} failed:\n{open(console).read()}")
    wanted = os.path.getsize(console) * fraction
    cut, cut_console = recordings.start(*command, **more)
    wait_for(f"half of {command[0]}", lambda: os.path.getsize(cut_console) >= wanted)
    kill(cut)
    return (whole, console), (cut, cut_console)


def cargo_sweep(binaries, recordings):
    projects = os.path.join(recordings.directory, "projects")
    for number in range(12):
        project = os.path.join(projects, f"project-{number}")
        os.makedirs(os.path.join(project, "src"))
        with open(os.path.join(project, "Cargo.toml"), "w") as manifest:
            manifest.write(f'[package]\nname = "project-{number}"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n')
        open(os.path.join(project, "src/lib.rs"), "w").close()
        command = ["cargo", "build", "--quiet", "--offline"]
        subprocess.run(command, cwd=project, env=recordings.environment, check=True)
    sweep = [os.path.join(binaries, "cargo-sweep"), "sweep", "-v", "-v", "--dry-run", "--recursive", "--time", "0", projects]
    counted = []
    for process, console in killed_after(recordings, 0.1, *sweep):
        events = recordings.events(process)
        ring = [f"[{event['level']}] {event['message']}" for event in events]
        # We record first, so one event can be in the ring that is not on the console yet.
        more = int(process.returncode != 0)
        counted += [compare("cargo-sweep", lines(console), ring, more), len(events)]
    return "{} lines of {} events; killed in the middle: {} of {}".format(*counted)


def png(path, width, height, seed):
    rows = b"".join(
        b"\0" + bytes((x * y + x * seed) & 255 for x in range(width) for _ in range(3)) for y in range(height)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def oxipng(binaries, recordings):
    images = [os.path.join(recordings.directory, f"{number}.png") for number in range(12)]
    for number, path in enumerate(images):
        png(path, 160, 120, number)
    command = [os.path.join(binaries, "oxipng"), "-vvv", "--dry-run", "--opt", "6", "--threads", "4", *images]
    counted = []
    # Its results go to the standard output, its log to the other one.
    for process, console in killed_after(recordings, 0.3, *command, stdout=subprocess.DEVNULL):
        events = recordings.events(process)
        # An event with two lines is shown on two.
        ring = [line for event in events for line in event["message"].split("\n")]
        shown = lines(console)
        if process.returncode != 0:
            # The last line can be cut off.
            shown = shown[:-1]
        counted += [compare("oxipng", shown, ring, 5 * (process.returncode != 0)), len(events)]
        counted.append(len({event["thread_id"] for event in events}))
    return "{} lines of {} events of {} threads; killed in the middle: {} of {} of {}".format(*counted)


def try_all(binaries, viewer):
    for program in [bore, mini_redis, cargo_sweep, oxipng]:
        recordings = Recordings(viewer)
        try:
            print(f"{program.__name__.replace('_', '-')}: {program(binaries, recordings)}", flush=True)
        except AssertionError:
            print(f"{program.__name__}: its rings and consoles are in {recordings.directory}", file=sys.stderr)
            raise
        subprocess.run(["rm", "-rf", recordings.directory], check=True)


if __name__ == "__main__":
    {"patch": patch, "try": try_all}[sys.argv[1]](*sys.argv[2:])
