#!/bin/sh
# What the tests need beyond Python packages: Debian's chromium for the browser tests,
# docker-compose to read our file, and the libraries OpenCV links to. Only as root with apt.
need=
command -v chromium >/dev/null || need="chromium"
command -v docker-compose >/dev/null || need="$need docker-compose"
ldconfig -p | grep -q libGL.so.1 || need="$need libgl1"
ldconfig -p | grep -q libglib-2.0.so.0 || need="$need libglib2.0-0"
[ -z "$need" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of words
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $need >/dev/null
else
    echo "Missing: $need. Install them to run every test." >&2
fi
