#!/bin/sh
# Installs missing programs that builds and tests need beside .venv.
#
# - Debian packages, listed below as PROGRAM:PACKAGE.
# - Programs that Go builds (a minute or two): grpcurl, an independent client for the conformance
#   tests, and kustomize, which builds the manifests (Debian's kubectl is too old).
# - The npm packages of tests/conformance/node, for an independent client in JavaScript.
#
# The last two go into .tools, which git ignores and `make clean` deletes. If one of them cannot
# be downloaded, the script prints a warning and continues; with CI=true the tests that need it
# then fail and name this script.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin # where Debian has mariadbd
needed="make:make git:git flock:util-linux chromium:chromium curl:curl go:golang-go
    node:nodejs npm:npm docker-compose:docker-compose g++:g++
    mariadbd:mariadb-server-core my_print_defaults:mariadb-client-core
    mmdebstrap:mmdebstrap shellcheck:shellcheck wget:wget unzip:unzip"
# Built by Debian 12's Go 1.19 too.
grpcurl=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9
kustomize=sigs.k8s.io/kustomize/kustomize/v4@v4.5.7

missing=""
for entry in $needed; do
    command -v "${entry%%:*}" >/dev/null || missing="$missing ${entry#*:}"
done
if [ -n "$missing" ]; then
    echo "Installing$missing ..."
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends \
        $missing
fi

warn() { # warn WHAT: prints a warning and the end of the log
    echo "$1 could not be installed; the tests that need it will fail. The end of the log:" >&2
    tail -n 10 "$log" | sed 's/^/  /' >&2
}

# .tools/NAME and .tools/node/package-lock.json are written last and tell what is installed.
install_by_go() { # install_by_go NAME MODULE
    [ "$(cat ".tools/$1" 2>/dev/null)" = "$2" ] && [ -x ".tools/bin/$1" ] && return
    echo "Building $1 ..."
    # Without cgo no C compiler is needed.
    CGO_ENABLED=0 GOBIN="$(pwd)/.tools/bin" go install -trimpath "$2" >"$log" 2>&1 &&
        echo "$2" >".tools/$1" || warn "$1"
}

install_node_packages() {
    from=tests/conformance/node
    to=.tools/node
    cmp -s $from/package-lock.json $to/package-lock.json && [ -d $to/node_modules ] && return
    echo "Installing the npm packages of $from ..."
    rm -rf $to $to.new
    mkdir -p $to.new
    cp $from/package.json $from/package-lock.json $to.new/
    # Packages' scripts are not run; none is needed.
    (cd $to.new && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 &&
        mv $to.new $to || warn "The npm packages of $from"
}

mkdir -p .tools
log=.tools/install.log
install_by_go grpcurl "$grpcurl"
install_by_go kustomize "$kustomize"
install_node_packages
