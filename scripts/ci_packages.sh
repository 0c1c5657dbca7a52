#!/bin/sh
# Installs the Debian packages that building and testing need, where a program is missing.
# The one list of them: PROGRAM:PACKAGE.
set -eu
needed="make:make git:git flock:util-linux chromium:chromium"

missing=""
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing="$missing ${entry#*:}"
done
[ -z "$missing" ] && exit 0

echo "Installing$missing ..."
as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends $missing
