#!/bin/sh
# sh install_packages.sh PYTHON LOCK: install the packages of a lock file, by hash.
#
# TORCH_INDEX, if set, is a package index with builds of torch for processors only. torch and torchvision
# come from there, in the versions of the lock but not by its hashes, and what only graphics cards need is
# left out.
set -eu
python=$1 lock=$2 how=--require-hashes
if [ -n "${TORCH_INDEX:-}" ]; then
    torch=$(sed -En 's/^((torch|torchvision)==[^ ]+).*/\1/p' "$lock")
    # shellcheck disable=SC2086 # two words
    "$python" -m pip install --quiet --no-deps --index-url "$TORCH_INDEX" $torch
    rest=$(mktemp)
    trap 'rm -f "$rest"' EXIT
    awk '/^[^ ]/ { left_out = /^(torch|torchvision|triton|(cuda|nvidia)-[a-z0-9-]+)==/ } !left_out' "$lock" >"$rest"
    # The lock names all dependencies; pip would ask for the hash of torch, on which others depend.
    lock=$rest how="$how --no-deps"
fi
# shellcheck disable=SC2086 # one word or two
"$python" -m pip install --quiet $how -r "$lock"
