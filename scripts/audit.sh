#!/bin/sh
# Looks up every locked package of both generations in PyPI's vulnerability database. Fails on an
# advisory that is not in requirements/*/audit-accepted.txt, and if a package cannot be looked up.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# pip-audit passes over a line whose marker does not hold for its own Python, and takes one version
# of a package from a file: so markers are cut off, and a second version goes into a second file.
audit() { # audit GENERATION ARGUMENTS...
    generation=$1
    shift
    echo "Looking up the packages of TFX $generation ..."
    sed 's/ ;.*\\$/ \\/' "requirements/$generation/dev.lock" |
        awk -F '==' -v to="$folder/$generation" '
            /^[^ ]/ { file = to "-" ++seen[$1] ".txt" }
            { print > file }'
    for file in "$folder/$generation"-*.txt; do
        set -- "$@" --requirement "$file"
    done
    for advisory in $(sed 's/#.*//' "requirements/$generation/audit-accepted.txt"); do
        set -- "$@" --ignore-vuln "$advisory"
    done
    .venv/bin/pip-audit --require-hashes --disable-pip --strict "$@"
}

status=0
for generation in 1.16 1.21; do
    audit "$generation" "$@" || status=1
done
exit $status
