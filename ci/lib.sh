# Shared by the scripts of this folder and of checks/: they begin with `source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"`. Moves to the
# root of the repository, and gives each script the means to install what it needs, or to fail saying what is missing. Nothing here
# skips silently.
#
# Settings from the environment:
#   CARGO_TARGET_DIR  where everything is built (default: target)
#   TTLOG_JOBS        how many checks run side by side (default: the number of cores)
#   TTLOG_NIGHTLY     the nightly toolchain for Miri, sanitizers and fuzzing (default: nightly)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$target_dir
# shellcheck disable=SC2034 # for the scripts that read this
nightly=${TTLOG_NIGHTLY:-nightly}
# shellcheck disable=SC2034
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
    if ! command -v "$1" >/dev/null; then
        CARGO_TARGET_DIR=$target_dir/tools install_quietly "the cargo tool $2 $3" cargo install --locked "$2" --version "$3"
        rm -rf "$target_dir/tools" # a gigabyte that nothing uses again
    fi
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

# Steps. A step is "NAME ARGUMENT...", a script of checks/ or of this folder. ---------------------------------------------------------

# Names what a step has to itself while it runs. Cargo lets one build at a time into a target directory, separately for each profile, so
# two steps of one name would only wait for each other. The others have target directories of their own, or need the shared ones briefly.
claim_of() { # STEP
    case ${1%% *} in
        cargo-test | lint | docs | features | portability | targets | reader-check | release | probe | panic-abort) say debug ;;
        kill-test | instructions | simple | soak | footprint | firmware-examples) say release ;;
        *) say "${1%% *}" ;;
    esac
}

log_of() { say "$logs/${1//[ \/]/_}.log"; } # STEP

start_step() { # STEP
    local words log script
    read -ra words <<<"$1"
    log=$(log_of "$1")
    script=ci/checks/${words[0]}
    [[ -e $script ]] || script=ci/${words[0]}
    rm -f "$log.skipped"
    # A process group of its own, so that all of it can be ended. Not a function: bash ignores `set -e` in whatever an `if` asks.
    set -m
    TTLOG_SKIP_FILE=$log.skipped "$script" "${words[@]:1}" </dev/null >"$log" 2>&1 &
    set +m
    step_of[$!]=$1
    started_at[$!]=$SECONDS
    claims[$(claim_of "$1")]=1
}

end_step() { # PID STATUS
    local step=${step_of[$1]} log
    log=$(log_of "$step")
    unset "claims[$(claim_of "$step")]" "step_of[$1]"
    if [[ $2 == 0 ]]; then
        passed=$((passed + 1))
        printf '%-22s %-6s %5d s  %s\n' "$step" ok $((SECONDS - started_at[$1])) "$(summary_of "$log")"
    else
        failures+=("$step")
        printf '%-22s %-6s %5d s\n' "$step" FAILED $((SECONDS - started_at[$1]))
    fi
}

end_all_steps() {
    local pid
    trap '' INT TERM
    for pid in "${!step_of[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    say "interrupted" >&2
    exit 130
}

# Runs steps side by side, each as soon as a lane is free and nothing that runs claims the same; of those that could start, the first in
# the list starts. Prints one line for each when it ends, with its time; at last what was skipped, the end of the output of those that
# failed, and `N passed, M failed`. Fails if one failed.
run_steps() { # LOG-DIR STEP...
    local logs=$1 lanes=${TTLOG_JOBS:-$(nproc)} step pid status at passed=0 failures=() begun=$SECONDS used peak=0
    local -A step_of=() started_at=() claims=()
    shift
    local waiting=("$@")
    mkdir -p "$logs"
    # What makes the next build quicker makes the first one slower, and takes gigabytes.
    export CARGO_INCREMENTAL=0
    for step in "${waiting[@]}"; do
        [[ -x ci/checks/${step%% *} || -x ci/${step%% *} ]] || fail "knows no step '$step'; there are: $(find ci/checks -executable -type f -printf '%f\n' | sort | paste -sd ' ')"
    done
    trap end_all_steps INT TERM
    while [[ ${#waiting[@]} != 0 || ${#step_of[@]} != 0 ]]; do
        for at in "${!waiting[@]}"; do
            [[ ${#step_of[@]} -lt $lanes ]] || break
            if [[ -z ${claims[$(claim_of "${waiting[at]}")]:-} ]]; then
                start_step "${waiting[at]}"
                unset "waiting[at]"
            fi
        done
        status=0
        wait -n -p pid "${!step_of[@]}" || status=$?
        end_step "$pid" "$status"
        used=$(du -sm "$target_dir" | cut -f1)
        peak=$((used > peak ? used : peak))
    done
    trap - INT TERM

    for step in "$@"; do
        [[ ! -s $(log_of "$step").skipped ]] || sed "s/^/skipped in $step: /" "$(log_of "$step").skipped"
    done
    for step in "${failures[@]}"; do
        say "the end of $(log_of "$step"):"
        tail -n 60 "$(log_of "$step")" | sed 's/^/    /'
    done
    # Once more and last, so that a report that is cut to its end names each fault.
    for step in "${failures[@]}"; do
        faults_of "$(log_of "$step")" | sed "s/^/fault in $step: /"
    done
    say "total $((SECONDS - begun)) s, at most $peak MiB in $target_dir${failures[*]:+; failed:$(printf ' %s,' "${failures[@]}" |
        sed 's/,$//')}"
    say "$passed passed, ${#failures[@]} failed"
    [[ ${#failures[@]} == 0 ]]
}

# The first lines of a step's output that name what failed, and where a test panicked.
faults_of() { # LOG
    awk '/\.\.\. FAILED$/ || /^error/ { print; next }
        /panicked at/ { place = $0; getline message; print place " " message }' "$1" | cut -c1-240 | head -n 12
}

# What a step counted: the last line of its output that starts with "= ", else the sum over cargo's test results; and how many tests
# have written into $TTLOG_SKIP_FILE that they could not do their work.
summary_of() { # LOG
    local skipped=0
    [[ ! -s $1.skipped ]] || skipped=$(wc -l <"$1.skipped")
    awk -v skipped="$skipped" '
        /^= / { own = substr($0, 3) }
        /^test result: ok/ { tests += $4; ignored += $8 }
        END {
            counted = own != "" ? own : tests ? tests " tests" (ignored ? ", " ignored " ignored" : "") : ""
            print counted (skipped > 0 ? (counted == "" ? "" : ", ") skipped " skipped" : "")
        }' "$1"
}
