#!/bin/sh
# Makes .venv exactly match requirements/1.16/dev.lock, or does nothing if it already does.
# make runs it before each target that needs it. It is safe to interrupt, rerun and run twice at
# once.
#
# A stamp in .venv, written last, holds a digest of its inputs, so that .venv is made again after
# an interrupted setup, a changed lock or a moved folder. PYTHON=... picks the
# interpreter.
#
# Exit status: 0 .venv is ready · 1 setting it up failed · 2 no usable Python 3.10.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX || true

venv_python=.venv/bin/python
stamp=.venv/genreflow-stamp
log=.venv-setup.log

digest() {
    # The path is part of it: a venv does not survive being moved.
    { pwd -P; cat requirements/1.16/dev.lock requirements/uv.txt setup.py .python-version; } |
        if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi |
        cut -d ' ' -f 1
}

is_310() { # is_310 COMMAND: succeeds if it runs and is Python 3.10
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1
}

is_ready() {
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && is_310 "$venv_python"
}

# Each candidate is run, because a pyenv shim exists for versions that are not active.
find_python() {
    for candidate in "${PYTHON:-}" python3.10 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python3.10; do
        if [ -n "$candidate" ] && is_310 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

no_python() { # no_python WHY
    cat >&2 <<MESSAGE
Genreflow needs Python 3.10, the newest that TFX 1.16 is built for. $1
Any one of these helps; then run make again:
  Ubuntu, deadsnakes:  sudo add-apt-repository ppa:deadsnakes/ppa &&
                       sudo apt install python3.10 python3.10-venv
  pyenv:               pyenv install 3.10
  uv (brings its own): curl -LsSf https://astral.sh/uv/install.sh | sh
  already somewhere:   make PYTHON=/path/to/python3.10 ...
MESSAGE
    exit 2
}

failed() {
    echo "Setting up .venv failed while $step. The end of $(pwd)/$log:" >&2
    tail -n 20 "$log" | sed 's/^/  /' >&2
    echo "Run the same command again to retry." >&2
    exit 1
}

run() { # run WHAT COMMAND...: its output goes to the log
    step=$1
    shift
    echo "+ $*" >>"$log"
    "$@" >>"$log" 2>&1 || failed
}

# Decides how to make .venv before anything is deleted. A uv on the PATH is run as well, because
# it may be a shim of another Python that does not work.
choose_maker() {
    python=$(find_python)
    if [ -n "$python" ] && "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        maker=venv
    elif uv --version >/dev/null 2>&1; then
        maker=uv
    elif [ -n "$python" ]; then
        no_python "The one here ($python) lacks its venv module; on Debian and Ubuntu:
sudo apt install python3.10-venv."
    else
        no_python "None was found."
    fi
}

make_venv() {
    rm -rf .venv
    if [ "$maker" = venv ]; then
        run "creating .venv" "$python" -m venv .venv
    else
        run "creating .venv with uv" uv venv --quiet --seed --python 3.10 .venv
    fi
}

wanted=$(digest)
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

maker=""
if ! is_310 "$venv_python" || ! "$venv_python" -m pip --version >/dev/null 2>&1; then
    choose_maker
fi
echo "Setting up .venv from requirements/1.16/dev.lock (usually 1 to 3 minutes, 3.5 GB; log: $log) ..."
started=$(date +%s)
: >"$log"
rm -f "$stamp"
if [ -n "$maker" ]; then
    make_venv
fi
run "installing uv" "$venv_python" -m pip install --disable-pip-version-check \
    --require-hashes --no-deps -r requirements/uv.txt
run "installing the locked packages" .venv/bin/uv pip sync --python "$venv_python" \
    --require-hashes requirements/1.16/dev.lock
# An isolated build would download another setuptools than the locked one.
run "installing genreflow itself" .venv/bin/uv pip install --python "$venv_python" \
    --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp.new"
mv "$stamp.new" "$stamp"
echo "Set up .venv in $(($(date +%s) - started)) s."
