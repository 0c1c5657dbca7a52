#!/bin/sh
# Resolves requirements/*/*.lock from setup.py and each generation's pins.txt: exact versions with
# hashes, without index or URL lines. Run by `make lock`.
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
        --no-emit-index-url --no-emit-find-links --output-file "$lock"
}

generation() { # generation NAME ARGUMENTS...: its three locks
    name=$1
    shift
    compile "$name/dev.lock" setup.py --extra av --extra tags --extra kubeflow --extra dev \
        -c "requirements/$name/pins.txt" "$@"
    compile "$name/runtime.lock" setup.py --extra av --extra tags --extra kubeflow \
        -c "requirements/$name/dev.lock" "$@"
    compile "$name/gpu.lock" setup.py --extra av --extra tags --extra kubeflow --extra gpu \
        -c "requirements/$name/dev.lock" "$@"
}

generation 1.16 --python-version 3.10 --python-platform x86_64-manylinux_2_28 \
    --override requirements/1.16/overrides.txt "$@"
# For three Pythons at once; [tool.uv] in pyproject.toml holds the upper bound.
generation 1.21 --universal --python-version 3.11 "$@"
for lock in requirements/1.21/*.lock; do
    # What holds for every line is said once, in pyproject.toml.
    sed -i -e "s/ and implementation_name == 'cpython' and .* and sys_platform == 'linux'//" \
        -e "s/ ; python_full_version < '3.14' \\\\$/ \\\\/" "$lock"
done

# uv itself, in the version that resolved these locks.
"$uv" --version | sed -E 's/^uv ([0-9.]+).*/uv==\1/' |
    compile uv.txt - --no-deps --python-version 3.10 --python-platform x86_64-manylinux_2_28
