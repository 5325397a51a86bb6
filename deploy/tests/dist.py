#!/usr/bin/env python3
"""Checks target/dist: the same bytes twice, what the .deb has, lintian, manual pages, and its installation in a fresh Debian: python deploy/tests/dist.py"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from layers import Layers, Skip, call, inside

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "target" / "dist"
# What is not a fault here, each with its reason.
LINTIAN_ALLOWED = {
    "description-starts-with-package-name": "the crate's description, which elsewhere stands without the name beside it",
    "no-changelog": "the changelog is CHANGELOG.md: there is no packaging apart from the program",
    "wrong-name-for-upstream-changelog": "a page of the documentation like the others, which link to it by this name",
    "maintainer-script-needs-depends-on-adduser": "only where systemd-sysusers is missing; the dependency names either",
    "non-standard-file-perm": "the configuration is for the service's group: it may hold a password",
}


def only(pattern):
    """The one file of that form."""
    found = list(DIST.glob(pattern))
    assert len(found) == 1, f"target/dist has {len(found)} of {pattern}: run `make dist`"
    return found[0]


def sums():
    call("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=DIST)
    call("bash", ROOT / "deploy" / "dist" / "dist.sh", "--again", cwd=ROOT)
    return "checksums hold, and a second assembly has the same bytes"


def tarball():
    with tempfile.TemporaryDirectory() as folder:
        call("tar", "-xzf", only("*.tar.gz"), "-C", folder)
        inside = next(Path(folder).iterdir())
        root = Path(folder, "root")
        root.mkdir()
        call("bash", inside / "install.sh", root)
        binary = root / "usr/bin/millrace"
        assert "not stripped" not in call("file", binary), "the binary has symbols"
        call(binary, "version")
        assert (root / "etc/millrace/millrace.toml").exists() and (root / "usr/lib/systemd/system/millrace.service").exists()
        for page in (root / "usr/share/man/man1").glob("*.gz"):
            text = subprocess.run(["zcat", str(page)], capture_output=True, check=True).stdout
            lint = subprocess.run(["mandoc", "-Tlint", "-Werror"], input=text, capture_output=True, check=False)
            assert lint.returncode == 0, f"{page.name}: {lint.stdout.decode()[:600]}"
        pages = len(list((root / "usr/share/man/man1").glob("*.gz")))
        strings = call("strings", "-n", "12", binary)
        assert "BEGIN RSA" not in strings
        return f"{only('*.tar.gz').stat().st_size >> 20} MiB, {pages} manual pages"


def sbom():
    bom = json.loads(only("*.cdx.json").read_text())
    names = {component["name"] for component in bom["components"]}
    assert bom["bomFormat"] == "CycloneDX" and {"glommio", "rdkafka-sys", "librdkafka", "rustls", "ring"} <= names, sorted(names)[:20]
    assert all(component.get("version") for component in bom["components"])
    text = json.dumps(bom)
    assert "path+file" not in text and str(ROOT) not in text, "a path of this machine is in the SBOM"
    return f"{len(names)} components"


def lintian():
    if shutil.which("lintian") is None:
        raise Skip("lintian is not installed")
    done = subprocess.run(["lintian", "--no-tag-display-limit", "--fail-on", "none", str(only("*.deb"))], capture_output=True, text=True, check=False)
    tags = re.findall(r"^[EW]: \S+: (\S+)(.*)$", done.stdout, re.M)
    bad = [f"{tag}{rest}" for tag, rest in tags if tag not in LINTIAN_ALLOWED]
    assert not bad, "\n".join(bad)
    return f"{len(tags)} remarks, all allowed by name"


def installed():
    """The .deb in a fresh Debian, as a person would: installed, its unit verified, the demo as its user, removed, purged."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise Skip("needs root and debootstrap")
    cache = Path(os.environ.get("DEBIAN_ROOT", ROOT / "target" / "debian-root.tar"))
    folder = Path(tempfile.mkdtemp(prefix="millrace-debian-"))
    try:
        if not cache.exists():
            call("debootstrap", "--variant=minbase", "--include=systemd,libssl3,ca-certificates,adduser", "bookworm", folder, timeout=900)
            call("tar", "-cf", cache, "-C", folder, ".", timeout=300)
        else:
            call("tar", "-xf", cache, "-C", folder, timeout=300)
        folder.chmod(0o755)  # the service's user must get in
        shutil.copy(only("*.deb"), folder / "tmp/millrace.deb")
        root = ["chroot", str(folder)]
        call(*root, "dpkg", "-i", "/tmp/millrace.deb")
        call(*root, "/usr/bin/millrace", "version")
        verify = subprocess.run([*root, "systemd-analyze", "verify", "--man=no", "millrace.service"], capture_output=True, text=True, check=False)
        trouble = [line for line in verify.stderr.splitlines() if "millrace" in line]
        assert not trouble, "\n".join(trouble)
        assert not (folder / "etc/systemd/system/multi-user.target.wants/millrace.service").exists(), "the unit is enabled by the installation"
        mode = (folder / "etc/millrace/millrace.toml").stat().st_mode & 0o777
        assert mode == 0o640, oct(mode)
        call(*root, "/usr/bin/millrace", "validate", "--no-env", "/etc/millrace/millrace.toml", env={"AWS_REGION": "eu-west-1"})
        call(*inside(folder, "millrace:millrace"), "/usr/bin/millrace", "demo", "--for", "3s", "--rate", "1000", "--shards", "1", "--no-wait",
             "--listen", "127.0.0.1:0", timeout=120)
        (folder / "etc/millrace/millrace.toml").write_text((folder / "etc/millrace/millrace.toml").read_text() + "# kept\n")
        call(*root, "dpkg", "--force-confold", "-i", "/tmp/millrace.deb")
        assert (folder / "etc/millrace/millrace.toml").read_text().endswith("# kept\n"), "an upgrade took the operator's file"
        call(*root, "dpkg", "--remove", "millrace")
        assert (folder / "etc/millrace/millrace.toml").exists() and not (folder / "usr/bin/millrace").exists()
        call(*root, "dpkg", "--purge", "millrace")
        assert not (folder / "etc/millrace/millrace.toml").exists()
        return "installed, verified, demo as its user, upgraded with its file kept, removed, purged"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    layers = Layers()
    for name, work in {"dist: bytes": sums, "dist: tarball": tarball, "dist: SBOM": sbom, "dist: lintian": lintian, "dist: .deb in a fresh Debian": installed}.items():
        layers.run(name, work)
    layers.end()


main()
