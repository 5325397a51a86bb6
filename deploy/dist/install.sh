#!/bin/bash
# Installs what this folder of the tarball has below a root, / unless another is named: install.sh [ROOT]. The .deb does the same on Debian.
set -euo pipefail
cd "$(dirname "$0")"

root=${1:-/}
put() {
  install -D -m "$1" "$2" "$root/$3"
}
put 0755 bin/millrace usr/bin/millrace
put 0644 systemd/millrace.service usr/lib/systemd/system/millrace.service
put 0644 systemd/millrace.sysusers usr/lib/sysusers.d/millrace.conf
put 0644 systemd/90-millrace.conf usr/lib/sysctl.d/90-millrace.conf
put 0644 seccomp/millrace.json usr/share/millrace/seccomp.json
put 0644 completions/millrace.bash usr/share/bash-completion/completions/millrace
put 0644 completions/_millrace usr/share/zsh/site-functions/_millrace
put 0644 completions/millrace.fish usr/share/fish/vendor_completions.d/millrace.fish
for page in man/man1/*; do
  put 0644 "$page" "usr/share/man/man1/$(basename "$page")"
done
# An operator's own file stays.
[ -e "$root/etc/millrace/millrace.toml" ] || put 0640 doc/millrace.toml etc/millrace/millrace.toml
if [ "$root" = / ]; then
  systemd-sysusers millrace.conf
  chgrp -R millrace /etc/millrace
  chmod 0750 /etc/millrace
  sysctl --quiet --load /usr/lib/sysctl.d/90-millrace.conf || true
  systemctl daemon-reload 2>/dev/null || true
  echo "next: edit /etc/millrace/millrace.toml, millrace check --connect, systemctl enable --now millrace"
fi
