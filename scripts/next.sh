#!/bin/sh
# Runs a command on a copy of this working tree with the generation of TFX that .venv does not
# have. Run by `make test-next`; any other command works, too: scripts/next.sh make demo
#
# TFX 1.21 needs glibc 2.39. Where this machine's is older, the copy lies in a Debian 13 root
# (.tools/next/root, made by mmdebstrap: 25 seconds, 0.3 GB) and the command runs inside; it has
# the packages listed below and nothing of this machine but its name servers, certificates and the
# folder GENREFLOW_DATA, read-only. Elsewhere the copy is .tools/next/tree, for TFX 1.16. The setup
# script makes the copy's own .venv, which stays for the next time.
#
# Exit status: the command's · 2 the root could not be made, or may not be entered.
set -eu
cd "$(dirname "$0")/.."
packages=ca-certificates,git,make,python3
next=.tools/next
root=$next/root

fail() {
    echo "scripts/next.sh: $1" >&2
    exit 2
}

# The files of the working tree as git sees it, committed or not, replace those of the copy.
update() { # update COPY
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name '.venv*' ! -name .tools -exec rm -rf {} +
    tar -x --no-same-owner -C "$1" -f "$next/tree.tar"
    # Some tests ask git for the tree's files.
    git -C "$1" init --quiet
    git -C "$1" add --all
}

pack() {
    # A file that was deleted but not yet committed is listed, too.
    git ls-files -z --cached --others --exclude-standard |
        tar -c --null --ignore-failed-read --files-from=- -f "$next/tree.tar" 2>/dev/null
}

has_glibc_2_39() {
    version=$(getconf GNU_LIBC_VERSION 2>/dev/null) || return 1
    printf '%s\n' 'glibc 2.39' "$version" | sort -V -C
}

# In the mount namespace, as its root.
enter() { # enter DATA COMMAND...
    data=$1
    shift
    update "$root/srv/checkout"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs; do
        [ -e "$path" ] || continue
        [ -e "$root$path" ] || : >"$root$path"
        mount --bind "$path" "$root$path"
    done
    if [ -n "$data" ]; then
        mkdir -p "$root/data"
        mount --bind "$data" "$root/data"
        mount -o remount,bind,ro "$root/data"
        export GENREFLOW_DATA=/data
    fi
    # Programs that only some tests need are not there: those tests skip, and run on the other
    # generation.
    unset CI TMPDIR || true
    export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    # shellcheck disable=SC2016  # expanded inside
    exec chroot "$root" /bin/sh -c 'cd /srv/checkout && exec "$@"' sh "$@"
}

if [ "${1:-}" = --enter ]; then
    shift
    enter "$@"
fi

[ $# -gt 0 ] || fail "usage: scripts/next.sh COMMAND..."
mkdir -p "$next"
pack
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHON || true
if has_glibc_2_39; then
    update "$next/tree"
    cd "$next/tree"
    export GENERATION=1.16
    exec "$@"
fi

user=""
[ "$(id -u)" -eq 0 ] || user="--map-root-user --map-auto"
if [ "$(cat "$next/root-packages" 2>/dev/null)" != "$packages" ]; then
    command -v mmdebstrap >/dev/null ||
        fail "mmdebstrap is missing, which makes the Debian 13 root; install the package mmdebstrap"
    echo "Making a Debian 13 root in $root (half a minute; log: $next/root.log) ..."
    # shellcheck disable=SC2086  # words
    unshare $user --mount rm -rf "$root" || fail "$root cannot be deleted"
    mmdebstrap --variant=minbase --include="$packages" trixie "$root" >"$next/root.log" 2>&1 || {
        tail -n 10 "$next/root.log" | sed 's/^/  /' >&2
        fail "the Debian 13 root could not be made; the end of $next/root.log is above"
    }
    echo "$packages" >"$next/root-packages"
fi
# shellcheck disable=SC2086  # words
unshare $user --mount true 2>/dev/null ||
    fail "this user may make no mount namespace; run it as root, or allow user namespaces"
# shellcheck disable=SC2086  # words
exec unshare $user --mount --pid --fork --kill-child \
    scripts/next.sh --enter "${GENREFLOW_DATA:-}" "$@"
