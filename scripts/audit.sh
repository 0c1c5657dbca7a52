#!/bin/sh
# Looks up every locked package in PyPI's vulnerability database. Fails on an advisory that is
# not in requirements/audit-accepted.txt, and if a package cannot be looked up.
set -eu
cd "$(dirname "$0")/.."
set -- --requirement requirements/1.16/dev.lock --require-hashes --disable-pip --strict "$@"
for advisory in $(sed 's/#.*//' requirements/audit-accepted.txt); do
    set -- "$@" --ignore-vuln "$advisory"
done
exec .venv/bin/pip-audit "$@"
