"""Runs the programs built by ci/checks/footprint in QEMU, and prints a table of their costs.

report.py DIRECTORY SETTINGS EXPECTED [--bless]: DIRECTORY holds the programs as TARGET/RECORDER/PROGRAM.
Each runs twice:
- with `-icount shift=0`, where SysTick counts instructions: the mean over 10,000 calls, including those that open a new
  segment;
- with few calls and a trace of each instruction with the registers before it. The trace shows the instructions executed
  with interrupts masked (from `cpsid i` up to the `cpsie i` or `msr primask` that ends it), the stack (how far
  the stack pointer goes below its value before the call), and the instructions again, as a check of the first method.
Flash per callsite is the difference of two programs, one of which has 64 more callsites. The costs of the same function
without a log call are subtracted from all figures.
"""

import collections
import concurrent.futures
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

MACHINES = {"thumbv7m-none-eabi": "mps2-an385", "thumbv6m-none-eabi": "microbit"}
KINDS = {"0": "no arguments", "u32": "u32", "u32_u8": "u32, u8", "4_u32": "4 x u32"}
OURS = ("ttlog", "ttlog-single-core")
RECORDERS = {
    "ttlog": "TTLog",
    "ttlog-single-core": "single-core",
    "defmt-memory": "defmt, least",
    "defmt-timestamp": "with time",
    "defmt-rtt": "defmt-rtt",
}
NOTHING = "nothing"
CALLSITE_COUNT = 64  # as in build.rs
RING_LEN = 4096  # as in src/recorder.rs
TRACED_ROUNDS = 64
WORSE = 1.02
# Names of the recorders' functions and constants, as nm shows them.
OWN_SYMBOLS = re.compile(r"<*(ttlog_core|ttlog_embedded|_?defmt\w*|_critical_section\w*|ttlog_footprint::recorder)\b")


def fail(text):
    sys.exit(f"footprint: {text}")


def output_of(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if result.returncode != 0:
        fail(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result.stdout


class Program:
    """An ELF file: sizes of its sections, and its symbols."""

    def __init__(self, path):
        self.path = path
        self.flash = self.ram = 0
        for line in output_of("arm-none-eabi-readelf", "-SW", path).splitlines():
            section = re.match(r" *\[ *\d+\] (\S+) +(\S+) +(\w+) \w+ (\w+) \w+ +(\w*) ", line)
            if section and "A" in section[5]:
                len_bytes = int(section[4], 16)
                if section[2] != "NOBITS":
                    self.flash += len_bytes
                if int(section[3], 16) >= 0x2000_0000:
                    self.ram += len_bytes
        self.symbols = {}  # by name: address, length
        for line in output_of("arm-none-eabi-nm", "-SC", path).splitlines():
            symbol = re.match(r"(\w{8}) (?:(\w{8}) )?([a-zA-Z]) (.*)", line)
            if symbol:
                name = symbol[4]
                while name in self.symbols:  # several copies of a generic function
                    name += "'"
                self.symbols[name] = (int(symbol[1], 16), int(symbol[2] or "0", 16), symbol[3])

    def masking(self):
        """Maps each instruction that sets the interrupt mask to whether it masks, or to the register that decides."""
        found = {}
        for line in output_of("arm-none-eabi-objdump", "-d", self.path).splitlines():
            match = re.match(r" *(\w+):\t[\w ]+\t(cpsi[de]|msr)\t([^@;]*)", line)
            if not match:
                continue
            operands = match[3].strip().lower()
            if match[2] == "msr":
                name, register = operands.split(", ")
                if name == "primask":
                    found[int(match[1], 16)] = register
                elif name in ("basepri", "basepri_max", "faultmask"):
                    fail(f"{self.path} masks interrupts by {name}, which is not counted: {line}")
            elif "i" in operands:
                found[int(match[1], 16)] = match[2] == "cpsid"
        return found


def qemu(machine, program, *more):
    return [
        "qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0",
        "-semihosting-config", "enable=on,target=native", "-kernel", str(program.path), *more,
    ]


class Printed:
    """The output of a program."""

    def __init__(self, text):
        lines = [line.split() for line in text.splitlines()]
        self.counted = {tuple(words[:-2]): [int(word) for word in words[-2:]] for words in lines}

    def mean(self, *what):
        count, sum_of_all = self.counted[what]
        return sum_of_all / count

    def ticks(self, kind):
        """Returns the ticks of a call minus those of the bare function."""
        return self.mean("ticks", f"call_{kind}") - self.mean("ticks", f"bare_{kind}")


Call = collections.namedtuple("Call", "instructions masked longest_masked stack addresses")


def trace(machine, program):
    """Returns the calls of each function `call_*` and `bare_*`, and the output of the program."""
    rounds_address = program.symbols["HOST_ROUNDS"][0]
    starts = {place[0] & ~1: name for name, place in program.symbols.items() if re.fullmatch(r"(call|bare)_\w+", name)}
    masking = program.masking()
    calls = collections.defaultdict(list)
    printed = tempfile.TemporaryFile("w+")
    name = before = None
    command = qemu(machine, program, "-singlestep", "-d", "exec,cpu,nochain", "-D", "/dev/stderr")
    command += ["-device", f"loader,addr={rounds_address},data={TRACED_ROUNDS},data-len=4"]
    with subprocess.Popen(["timeout", "120", *command], stdout=printed, stderr=subprocess.PIPE, text=True) as guest:
        lines = iter(guest.stderr)
        for line in lines:
            if not line.startswith("Trace "):
                continue
            address = int(line.split("/", 2)[1], 16)
            # QEMU restarts an instruction that reads a device; none branches to itself here.
            again, before = address == before, address
            if again or name is None and address not in starts:
                continue
            registers = [int(word.split("=")[1], 16) for _ in range(4) for word in next(lines).split()]
            stack_pointer = registers[13]
            if name is None:
                name, back, stack_before = starts[address], registers[14] & ~1, stack_pointer
                addresses = set()
                instructions = masked_now = masked = stretch = longest = deepest = 0
            elif address == back and stack_pointer == stack_before:
                if masked_now:
                    fail(f"{program.path}: {name} returns with interrupts masked")
                calls[name].append(Call(instructions, masked, longest, deepest, addresses))
                name = None
                continue
            instructions += 1
            deepest = max(deepest, stack_before - stack_pointer)
            addresses.add(address)
            if masked_now:
                masked += 1
                stretch += 1
                longest = max(longest, stretch)
            if address in masking:
                change = masking[address]
                masked_now = registers[int(change[1:])] & 1 if isinstance(change, str) else change
                stretch = stretch if masked_now else 0
    if guest.returncode != 0:
        fail(f"{' '.join(command)} ended with {guest.returncode}")
    for kind in KINDS:
        for each in ("call", "bare"):
            if len(calls[f"{each}_{kind}"]) != TRACED_ROUNDS:
                count = len(calls[f"{each}_{kind}"])
                fail(f"{program.path}: {count} calls of {each}_{kind} in the trace, not {TRACED_ROUNDS}")
    printed.seek(0)
    return calls, Printed(printed.read())


def figures_of(directory, target, recorder):
    """Returns every figure of a recorder by name, and lines that list the symbols counted as code."""
    program = lambda name, of=recorder: Program(directory / target / of / name)
    machine, calls_program, bare_program = MACHINES[target], program("calls"), program("calls", NOTHING)
    figures = {}
    printed = Printed(output_of(*qemu(machine, calls_program)))
    per_tick = 1 / printed.mean("calibration")
    calls, printed_meanwhile = trace(machine, calls_program)
    callsites, executed, executed_usually = {}, set(), set()
    for kind in KINDS:
        here, bare = calls[f"call_{kind}"], calls[f"bare_{kind}"]
        by_trace = sum(call.instructions for call in here) / len(here) - bare[0].instructions
        by_clock = printed_meanwhile.ticks(kind) * per_tick
        if abs(by_trace - by_clock) > 2 * per_tick / TRACED_ROUNDS:  # a tick for each of both loops
            where = f"{target} {recorder} {kind}"
            fail(f"{where}: {by_trace:.2f} instructions in the trace, but {by_clock:.2f} by the clock")
        more, more_bare = program(f"more_{kind}"), program(f"more_{kind}", NOTHING)
        sizes = [p.flash for p in (more, calls_program, more_bare, bare_program)]
        callsites[kind] = (sizes[0] - sizes[1] - (sizes[2] - sizes[3])) / CALLSITE_COUNT
        median = statistics.median_low(call.instructions for call in here)
        executed |= set().union(*(call.addresses for call in here))
        executed_usually |= set().union(*(call.addresses for call in here if call.instructions <= median))
        figures |= {
            ("instructions", kind): printed.ticks(kind) * per_tick,
            ("median instructions", kind): median - bare[0].instructions,
            ("most instructions", kind): max(call.instructions for call in here) - bare[0].instructions,
            ("masked", kind): sum(call.masked for call in here) / len(here),
            ("longest masked", kind): max(call.longest_masked for call in here),
            ("ring bytes", kind): printed.mean("event_bytes", f"call_{kind}"),
            ("ring bytes in all", kind): printed.mean("all_bytes", f"call_{kind}"),
            ("flash per callsite", kind): callsites[kind],
            ("stack", kind): max(call.stack for call in here),
        }
    own = {
        name: len_bytes
        for name, (address, len_bytes, letter) in calls_program.symbols.items()
        if letter in "tTrRwWvV" and len_bytes and OWN_SYMBOLS.match(name)
        if not name.endswith(("::position", "::fill"))
    }

    def run_through(addresses):
        starts = {name: calls_program.symbols[name][0] & ~1 for name in own}
        ranges = {name: range(starts[name], starts[name] + own[name]) for name in own}
        return {name for name in own if any(address in ranges[name] for address in addresses)}

    figures["code", "a usual call"] = sum(own[name] for name in run_through(executed_usually))
    figures["code", "any call"] = sum(own[name] for name in run_through(executed))
    figures["code", "all"] = sum(own.values())
    figures["flash", "all"] = calls_program.flash - bare_program.flash - sum(callsites.values())
    if calls_program.ram < bare_program.ram + RING_LEN:
        fail(f"{target} {recorder}: the program has no ring of {RING_LEN} bytes")
    figures["RAM", "all"] = calls_program.ram - bare_program.ram - RING_LEN
    marks = "** a usual call runs through it, * one that changes segments"
    notes = [f"{target}, {RECORDERS[recorder]}: symbols counted as code ({marks})"]
    for name in sorted(own, key=own.get, reverse=True):
        mark = "**" if name in run_through(executed_usually) else "*" if name in run_through(executed) else ""
        notes.append(f"    {own[name]:5} {mark:2} {name}")
    return figures, notes


NAMES = {
    "instructions": "instructions, mean",
    "median instructions": "instructions, median",
    "most instructions": "instructions, most",
    "masked": "of them masked, mean",
    "longest masked": "masked at a stretch, most",
    "ring bytes": "ring, bytes per event",
    "ring bytes in all": "ring, with segment headers",
    "flash per callsite": "flash, bytes per callsite",
    "stack": "stack, bytes",
    "code": "code, bytes",
    "flash": "flash of it all but callsites, bytes",
    "RAM": "RAM without ring, bytes",
}
# Targets, on thumbv7m unless stated otherwise.
REACH = {
    ("median instructions", "u32_u8"): "60",
    ("masked", "u32_u8"): "0 (v6m: 12)",
    ("ring bytes", "0"): "8",
    ("ring bytes", "u32_u8"): "16",
    ("flash per callsite", "u32_u8"): "40",
    ("code", "all"): "700",
}


def show(value):
    return f"{value:.1f}".removesuffix(".0")


def main():
    directory, settings, expected_path = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    bless = sys.argv[4:] == ["--bless"]
    expected = {}
    if expected_path.exists():
        for line in expected_path.read_text().splitlines():
            if not line.startswith("#"):
                *key, value = line.split("|")
                expected[tuple(word.strip() for word in key)] = float(value)

    notes, fresh, worse, missing = [], {}, [], []
    cases = [(target, recorder) for target in MACHINES for recorder in RECORDERS]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        counted = dict(zip(cases, pool.map(figures_of, [directory] * len(cases), *zip(*cases))))
    for target, machine in MACHINES.items():
        figures = {recorder: counted[target, recorder][0] for recorder in RECORDERS}
        notes += [line for recorder in RECORDERS for line in counted[target, recorder][1]]
        print(f"\n{target} (QEMU {machine}), {settings}")
        print(f"{'':44}" + "".join(f"{RECORDERS[recorder]:>14}" for recorder in RECORDERS) + f"{'to reach':>14}")
        order = list(NAMES)
        for key in sorted(figures[OURS[0]], key=lambda key: order.index(key[0])):
            name = f"{NAMES[key[0]]}: {KINDS.get(key[1], key[1])}"
            row = f"{name:44}" + "".join(f"{show(figures[recorder][key]):>14}" for recorder in RECORDERS)
            row += f"{REACH.get(key, ''):>14}"
            for recorder in OURS:
                now = fresh[target, recorder, *key] = round(figures[recorder][key], 2)
                before = expected.get((target, recorder, *key))
                if before is None:
                    missing.append(f"{target}, {recorder}, {name}")
                elif now > before * WORSE + 0.01:
                    worse.append(f"{target}, {recorder}, {name}: {now}, before {before}")
                elif now < before / WORSE - 0.01:
                    row += f"  {recorder} is better than {before}: bless it"
            print(row.rstrip())
    print("\n" + "\n".join(notes))

    if bless:
        head = "# What our recorder costs on a device, counted by ci/checks/footprint, which also writes this file.\n"
        head += f"# {settings}\n"
        expected_path.write_text(head + "".join(f"{' | '.join(key)} | {value}\n" for key, value in fresh.items()))
    elif missing:
        fail(f"{expected_path} lacks {len(missing)} figures, {missing[0]} to begin with: run ci/checks/footprint --bless")
    elif worse:
        print("\n".join(worse), file=sys.stderr)
        fail("our recorder costs more than before; if intended, run ci/checks/footprint --bless and say why in the commit")
    usual = [
        f"{show(fresh[target, recorder, 'median instructions', 'u32_u8'])} on {target.split('-')[0]} ({recorder})"
        for target in MACHINES
        for recorder in OURS
    ]
    print(f"= instructions of an event with a u32 and a u8: {', '.join(usual)}")


if __name__ == "__main__":
    main()
