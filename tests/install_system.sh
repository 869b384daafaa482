#!/bin/sh
# What the tests need beyond Python packages: docker-compose to read our file, the libraries OpenCV
# links to, GNU gettext for the catalogs of texts, and Debian's headless chromium for the browser tests; chromium itself will do, slowly.
# Installs only as root with apt.
need=
command -v docker-compose >/dev/null || need="docker-compose"
ldconfig -p | grep -q libGL.so.1 || need="$need libgl1"
ldconfig -p | grep -q libglib-2.0.so.0 || need="$need libglib2.0-0"
command -v xgettext >/dev/null || need="$need gettext"
browser=
command -v chromium-headless-shell >/dev/null || browser="chromium-headless-shell"
[ -z "$need$browser" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing: $need $browser. Install them to run every test." >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
for packages in "$need" "$browser"; do
    [ -z "$packages" ] && continue
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends $packages >/dev/null && continue
    [ "$packages" = "$browser" ] && command -v chromium >/dev/null && continue
    exit 1
done
