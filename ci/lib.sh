# Shared by the scripts of this folder: `source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"`. Moves to the root of the repository, and
# gives each script the means to install what it needs, or to fail saying what is missing. Nothing here skips silently.
#
# Settings from the environment:
#   CARGO_TARGET_DIR  where everything is built (default: target)
#   TTLOG_NIGHTLY     the nightly toolchain for Miri, sanitizers and fuzzing (default: nightly)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target_dir
nightly=${TTLOG_NIGHTLY:-nightly}
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_command COMMAND HOW-TO-GET-IT
need_command() {
    command -v "$1" >/dev/null || fail "needs the command '$1': $2"
}

# Runs a quiet installation; shows what it said only when it fails.
install_quietly() { # WHAT COMMAND...
    local what=$1 log
    shift
    log=$(mktemp)
    say "installing $what" >&2
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "could not install $what with: $*"
    fi
    rm -f "$log"
}

need_toolchain() { # TOOLCHAIN
    need_command rustup "install Rust with rustup (https://rustup.rs)"
    rustup run "$1" rustc --version >/dev/null 2>&1 ||
        install_quietly "the Rust toolchain $1" rustup toolchain install "$1" --profile minimal --no-self-update
}

need_component() { # TOOLCHAIN COMPONENT
    need_toolchain "$1"
    rustup component list --toolchain "$1" --installed 2>/dev/null | grep -q "^$2" ||
        install_quietly "$2 for the Rust toolchain $1" rustup component add --toolchain "$1" "$2"
}

need_target() { # TOOLCHAIN TARGET
    need_toolchain "$1"
    rustup target list --toolchain "$1" --installed 2>/dev/null | grep -qx "$2" ||
        install_quietly "the target $2 for the Rust toolchain $1" rustup target add --toolchain "$1" "$2"
}

# The toolchain that plain `cargo` uses here.
default_toolchain() { rustup show active-toolchain | cut -d' ' -f1; }

apt_install() { # PACKAGE
    local sudo=()
    command -v apt-get >/dev/null || fail "cannot install $1: there is no apt-get here; install what corresponds to Debian's $1"
    [[ $(id -u) == 0 ]] || sudo=(sudo -n)
    install_quietly "the package lists" "${sudo[@]}" apt-get update
    install_quietly "the package $1" "${sudo[@]}" apt-get install -y --no-install-recommends "$1"
}

need_apt() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || apt_install "$2"
}

need_cargo_tool() { # COMMAND CRATE VERSION
    command -v "$1" >/dev/null ||
        CARGO_TARGET_DIR=$target_dir/tools install_quietly "the cargo tool $2 $3" cargo install --locked "$2" --version "$3"
}

# Makes a virtual environment from a file of pinned requirements and prints the path of its python.
need_pip_venv() { # NAME REQUIREMENTS
    need_apt python3 python3
    local venv=$target_dir/venv-$1
    if ! cmp -s "$2" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv" >/dev/null 2>&1 || { # Debian keeps a part of it in a package of its own
            apt_install python3-venv
            python3 -m venv "$venv" >&2
        }
        install_quietly "the Python packages of $2" "$venv/bin/pip" install --disable-pip-version-check -r "$2"
        cp "$2" "$venv/installed.txt"
    fi
    say "$venv/bin/python"
}

# run_steps LOG-DIR STEP... : runs each step ("NAME ARGUMENT...", a script of this folder), one after the other, shows one line for each
# with its time, the end of the output of those that failed, and at last `N passed, M failed`. Fails if one failed.
run_steps() {
    local logs=$1 step words log started verdict passed=0 failures=() begun=$SECONDS
    shift
    mkdir -p "$logs"
    # What makes the next build quicker makes the first one slower, and takes gigabytes.
    export CARGO_INCREMENTAL=0
    for step in "$@"; do
        read -ra words <<<"$step"
        log=$logs/${step//[ \/]/_}.log
        printf '%-22s ' "$step"
        started=$SECONDS
        # A process of its own, not a function: bash ignores `set -e` in whatever an `if` asks.
        if "ci/checks/${words[0]}" "${words[@]:1}" </dev/null >"$log" 2>&1; then verdict=ok; else verdict=FAILED; fi
        printf '%-6s %5d s  ' "$verdict" $((SECONDS - started))
        if [[ $verdict == ok ]]; then
            passed=$((passed + 1))
            summary_of "$log"
        else
            failures+=("$step")
            say "the end of $log:"
            tail -n 60 "$log" | sed 's/^/    /'
        fi
    done
    say "total $((SECONDS - begun)) s${failures[*]:+; failed:$(printf ' %s,' "${failures[@]}" | sed 's/,$//')}"
    say "$passed passed, ${#failures[@]} failed"
    [[ ${#failures[@]} == 0 ]]
}

# What a step counted: the last line of its output that starts with "= ", else the sum over cargo's test results.
summary_of() { # LOG
    awk '/^= / { own = substr($0, 3) }
         /^test result: ok/ { tests += $4; ignored += $8 }
         END { print own != "" ? own : tests ? tests " tests" (ignored ? ", " ignored " ignored" : "") : "" }' "$1"
}
