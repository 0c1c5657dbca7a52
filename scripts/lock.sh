#!/bin/sh
# Resolves requirements/*.lock from setup.py and requirements/pins.txt: exact versions with
# hashes for Python 3.10, without index or URL lines. Run by `make lock`.
#
# The development lock is resolved first and constrains the others, so that an image runs the
# versions that were tested. Locked versions are kept unless --upgrade is given.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv

compile() { # compile LOCK ARGUMENTS...
    lock=requirements/$1
    shift
    echo "Resolving $lock ..."
    "$uv" pip compile --quiet "$@" --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links \
        --python-version 3.10 --python-platform x86_64-manylinux_2_28 --output-file "$lock"
}

compile dev.lock setup.py --extra av --extra kubeflow --extra dev -c requirements/pins.txt "$@"
compile runtime.lock setup.py --extra av --extra kubeflow -c requirements/dev.lock
compile gpu.lock setup.py --extra av --extra kubeflow --extra gpu -c requirements/dev.lock

# uv itself, in the version that resolved these locks.
"$uv" --version | sed -E 's/^uv ([0-9.]+).*/uv==\1/' |
    compile uv.txt - --no-deps
