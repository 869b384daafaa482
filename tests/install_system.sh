#!/bin/sh
# Debian's chromium for the browser tests, and the libraries OpenCV needs; only as root with apt.
need=
command -v chromium >/dev/null || need="chromium"
ldconfig -p | grep -q libGL.so.1 || need="$need libgl1"
ldconfig -p | grep -q libglib-2.0.so.0 || need="$need libglib2.0-0"
[ -z "$need" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $need >/dev/null
else
    echo "Missing: $need. Install them to run every test." >&2
fi
