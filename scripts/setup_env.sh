#!/bin/sh
# Makes .venv exactly match the development lock of one generation of TFX, or does nothing if it
# already does. make runs it before each target that needs it. It is safe to interrupt, rerun and
# run twice at once. It asks for no password and changes nothing outside this folder, but that uv
# keeps its cache, and a Python that it had to download, in the user's own folders.
#
# The generation is 1.21 where the system and a Python allow, else 1.16; setup/python.sh chooses.
# GENERATION=1.16 or 1.21 forces one, PYTHON=... names the interpreter. A finished .venv keeps its
# generation and Python until one of these says otherwise.
#
# A stamp in .venv, written last, holds a digest of its inputs, the generation and Python's
# version, so that .venv is made again after an interrupted setup, a changed lock or a moved folder.
#
# Exit status: 0 .venv is ready · 1 setting it up failed · 2 no usable Python, or a wrong choice.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX UV_PYTHON || true
# shellcheck source=scripts/setup/messages.sh
. scripts/setup/messages.sh
# shellcheck source=scripts/setup/python.sh
. scripts/setup/python.sh
# shellcheck source=scripts/setup/uv.sh
. scripts/setup/uv.sh

stamp=.venv/genreflow-stamp
log=.venv-setup.log

inputs() { # inputs GENERATION
    # The path is part of it: a venv does not survive being moved.
    pwd -P
    cat "requirements/$1/dev.lock" requirements/uv.txt setup.py 2>/dev/null \
        requirements/pyfarmhash/pyproject.toml requirements/pyfarmhash/farmhash.py
}

is_python() { # is_python VERSION: succeeds if .venv's runs and has it
    .venv/bin/python -ISc 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' \
        "$1" >/dev/null 2>&1
}

is_ready() {
    stamped_generation=""
    if [ -r "$stamp" ]; then
        read -r digest stamped_generation stamped_version <"$stamp" || true
    fi
    [ -n "$stamped_generation" ] || return 1
    [ "${GENERATION:-$stamped_generation}" = "$stamped_generation" ] || return 1
    if [ -n "${PYTHON:-}" ]; then
        found=$(probe "$PYTHON" 2>/dev/null) || return 1
        [ "${found%% *}" = "$stamped_version" ] || return 1
    fi
    [ "$digest" = "$(inputs "$stamped_generation" | sha256)" ] && is_python "$stamped_version"
}

failed() {
    echo "Setting up .venv failed while $step. The end of $(pwd)/$log:" >&2
    tail -n 20 "$log" | sed 's/^/  /' >&2
    echo "Run the same command again to retry." >&2
    exit 1
}

try() { # try COMMAND...: its output goes to the log
    echo "+ $*" >>"$log"
    "$@" >>"$log" 2>&1
}

run() { # run WHAT COMMAND...: as try, but a failure ends the setup
    step=$1
    shift
    try "$@" || failed
}

last_cause() { # of the log's errors, uv's innermost one
    { grep 'cause: ' "$log" || grep -v '^E: Download Failed' "$log"; } |
        sed -n '$s/^ *\(cause: \)*//p'
}

# uv's own retries would take 10 seconds to say that there is no network.
install_python() {
    UV_HTTP_RETRIES=0 UV_HTTP_CONNECT_TIMEOUT="${UV_HTTP_CONNECT_TIMEOUT:-2}" \
        try "$uv" python install "$version" && return
    ! grep -q 'client error (Connect)' "$log" && try "$uv" python install "$version"
}

download_python() {
    echo "No Python $(choices) is here: uv downloads $version ..."
    get_uv || no_python "uv, which could bring one, could not be downloaded: $(last_cause)"
    UV_PYTHON_PREFERENCE=only-managed
    UV_PYTHON_INSTALL_BIN=0 # nothing in ~/.local/bin
    export UV_PYTHON_PREFERENCE UV_PYTHON_INSTALL_BIN
    install_python || no_python "uv could not download one: $(last_cause)"
    python=$("$uv" python find --system "$version" 2>>"$log") ||
        no_python "uv downloaded one, but cannot find it: $(last_cause)"
    unset UV_PYTHON_PREFERENCE
}

# A .venv that was half made or whose lock changed is completed; with another Python, or from
# another place, it is made anew.
make_venv() {
    if is_python "$version" && grep -qF "$(pwd -P)/.venv" .venv/bin/activate 2>/dev/null; then
        return
    fi
    rm -rf .venv
    run "creating .venv" "$uv" venv --python "$python" .venv
}

install() { # install WHAT PACKAGE...: from a folder here
    step=$1
    shift
    # An isolated build would download another setuptools than the locked one.
    run "$step" "$uv" pip install --python .venv/bin/python --no-deps --no-build-isolation "$@"
}

install_packages() {
    lock=requirements/$generation/dev.lock
    if [ -n "$without_compiler" ]; then
        lock=.venv/without-pyfarmhash.lock
        awk '/^[^ ]/ { skip = /^pyfarmhash==/ } !skip' "requirements/$generation/dev.lock" >"$lock"
    fi
    # Where Python may not keep bytecode, each process would compile TensorFlow again: 5 s and more.
    run "installing the locked packages" "$uv" pip sync --python .venv/bin/python \
        --require-hashes ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} "$lock" requirements/uv.txt
    if [ -n "$without_compiler" ]; then
        # From a copy, because a build leaves files behind.
        rm -rf .venv/pyfarmhash
        cp -R requirements/pyfarmhash .venv/pyfarmhash
        install "installing pyfarmhash" ./.venv/pyfarmhash
    fi
    install "installing genreflow itself" --editable .
}

if is_ready; then
    exit 0
fi

# Only one setup runs at a time; a second make waits and then finds the work done.
if command -v flock >/dev/null; then
    exec 9>.venv.lock
    if ! flock --nonblock 9; then
        echo "Waiting for another setup of .venv to end ..."
        flock 9
        if is_ready; then
            exit 0
        fi
    fi
fi

started=$(date +%s)
: >"$log"
use_pip_settings
choose
downloaded=""
if [ -z "$python" ]; then
    download_python
    downloaded=", by uv"
fi
without_compiler=""
if ! can_build; then
    without_compiler="; no C++ compiler with Python's headers, so farmhash in Python"
fi
echo "Setting up .venv with Python $version$downloaded and TFX $generation ($why$without_compiler);" \
    "usually 1 to 3 minutes, 4 GB; log: $log ..."
step="getting uv"
get_uv || failed
rm -f "$stamp"
make_venv
install_packages
echo "$(inputs "$generation" | sha256) $generation $version" >"$stamp.new"
mv "$stamp.new" "$stamp"
echo "Set up .venv in $(($(date +%s) - started)) s."
