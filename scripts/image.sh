#!/bin/sh
# Builds the container image by kubeflow/Dockerfile. Run by `make image`.
#
# GENERATION: that of TFX, 1.21 (default) or 1.16. DEVICE: cpu (default) or cuda.
# IMAGE: what to call it; by default genreflow:VERSION-REVISION, with -dirty if the checkout differs
# from that revision, so that no name stands for two contents, with -tfx1.16 for another generation
# than the default one, and with -cuda for CUDA. Arguments go to the build, such as
# --build-arg INDEX_URL=https://packages.example.org/simple --secret id=netrc,src=$HOME/.netrc
#
# Exit status: 0 built · 1 the build failed · 2 no container engine, a wrong GENERATION or DEVICE.
set -eu
cd "$(dirname "$0")/.."
sources="LICENSE pyproject.toml setup.py requirements components configs genreflow kubeflow
    pipeline serving .dockerignore"

fail() {
    echo "make image: $1" >&2
    exit 2
}

# The first that works: a docker without its daemon is only a client.
find_engine() {
    idle=""
    for engine in docker podman buildah; do
        command -v "$engine" >/dev/null || continue
        "$engine" info >/dev/null 2>&1 && return
        idle="$idle $engine"
    done
    if [ -n "$idle" ]; then
        fail "found${idle}, but its \`info\` command fails; is the daemon running, and may you use it?"
    fi
    fail "no docker (23 or newer), podman or buildah on the PATH; install one of them"
}

default=$(sed -n 's/^ARG GENERATION=//p' kubeflow/Dockerfile)
generation=${GENERATION:-$default}
generations=$(cd requirements && echo [0-9]*)
known=false
for name in $generations; do
    if [ "$name" = "$generation" ]; then
        known=true
    fi
done
$known || fail "GENERATION=$generation: it must be one of $generations"
device=${DEVICE:-cpu}
case $device in
    cpu | cuda) ;;
    *) fail "DEVICE=$device: it must be cpu or cuda" ;;
esac
find_engine

version=$(sed -n 's/^ *version="\(.*\)",$/\1/p' setup.py)
revision=unknown
tag=$version
if short=$(git rev-parse --short HEAD 2>/dev/null); then
    revision=$(git rev-parse HEAD)
    tag=$version-$short
    # shellcheck disable=SC2086  # a list of words
    if [ -n "$(git status --porcelain -- $sources)" ]; then
        echo "make image: the checkout differs from revision $short: marked as dirty" >&2
        revision=$revision-dirty
        tag=$tag-dirty
    fi
fi
[ "$generation" = "$default" ] || tag=$tag-tfx$generation
[ "$device" = cpu ] || tag=$tag-$device
image=${IMAGE:-genreflow:$tag}

echo "Building $image for TFX $generation, $device with $engine ..."
# The locked packages are built for this platform alone.
DOCKER_BUILDKIT=1 "$engine" build --platform linux/amd64 --file kubeflow/Dockerfile --tag "$image" \
    --build-arg "GENERATION=$generation" --build-arg "DEVICE=$device" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$@" . || {
    echo "make image: $engine could not build $image; see its output above" >&2
    exit 1
}

pushed=$image
echo
echo "Built $image (TFX $generation, $device, revision $revision). Next:"
case $image in
    */*) ;;
    *)
        pushed=registry.example.org/$image
        echo "  $engine tag $image $pushed   # your registry"
        ;;
esac
echo "  $engine push $pushed"
echo "  genreflow kubeflow compile --image $pushed ...   # better: the digest that push prints"
