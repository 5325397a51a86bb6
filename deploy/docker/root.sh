#!/bin/bash
# Assembles the image's root folder from a Debian: the binary, the libraries that it loads, certificates, a user. Run in the Dockerfile, and
# by deploy/tests/check.py without Docker.   root.sh FOLDER [BINARY]
set -euo pipefail

root=$1
binary=${2:-/usr/bin/millrace}

install -d -m 0755 "$root"/{etc/ssl/certs,etc/millrace,usr/bin,usr/lib,proc,sys,dev}
install -d -m 1777 "$root/tmp"
install -d -m 0700 -o 65532 -g 65532 "$root/var/lib/millrace"
ln -s usr/lib "$root/lib"
ln -s usr/lib "$root/lib64"
install -m 0755 "$binary" "$root/usr/bin/millrace"

# Whatever the loader says that the binary needs, the loader itself included. Names stay as they are asked for.
while read -r library; do
  install -m 0755 "$(readlink -f "$library")" "$root/usr/lib/$(basename "$library")"
done < <(ldd "$binary" | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^[[:space:]]*(\/lib[^ ]*ld-linux[^ ]*) .*/\1/p')
# Names of hosts are resolved by libraries that glibc loads by itself.
for library in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
  path=$(find /lib /usr/lib -name "$library" -print -quit)
  [ -z "$path" ] || install -m 0755 "$(readlink -f "$path")" "$root/usr/lib/$library"
done

install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/sbin/nologin\nmillrace:x:65532:65532:Millrace:/var/lib/millrace:/sbin/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nmillrace:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
# The loader looks in /usr/lib without a cache.
"$root/usr/lib/$(basename "$(find "$root/usr/lib" -name 'ld-linux*' -print -quit)")" --library-path "$root/usr/lib" "$root/usr/bin/millrace" --version
