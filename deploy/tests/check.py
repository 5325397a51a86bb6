#!/usr/bin/env python3
"""What can be said about deploy/ on one machine, without Docker, Kubernetes or AWS: python deploy/tests/check.py

MILLRACE names the binary (target/release/millrace), whose metrics, help and exit codes are compared with what deploy/ says of them.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import recovery
import yaml
from layers import Layers, Skip, call, inside

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "millrace"
BINARY = Path(os.environ.get("MILLRACE", ROOT / "target" / "release" / "millrace"))
VENV = Path(os.environ.get("CHECK_VENV", ROOT / "target" / "deploy-venv")) / "bin"
CHECKOV = Path(os.environ.get("CHECKOV", ROOT / "target" / "checkov" / "bin" / "checkov"))
HELM = Path(os.environ.get("HELM", ROOT / "target" / "go" / "helm"))
KUBERNETES = "1.33"


def tool(path):
    """A program that the installer brings, or a skip."""
    found = path if Path(path).exists() else shutil.which(str(path))
    if not found:
        raise Skip(f"{path} is not installed: run `make setup-deploy`")
    return found


def one_seccomp():
    """One source of the profile: the file that runtimes get is what the maker writes from Debian's default."""
    profile = json.loads((DEPLOY / "seccomp" / "millrace.json").read_text())
    default = Path("/usr/share/containers/seccomp.json")
    if not default.exists():
        raise Skip("Debian's golang-github-containers-common is not installed")
    made = json.loads(call("python3", DEPLOY / "seccomp" / "make.py", default))
    assert made == profile, "deploy/seccomp/millrace.json is not what make.py writes: run it again"
    places = {
        "deploy/compose/compose.yml": "seccomp:../seccomp/millrace.json",
        "terraform/modules/compute_ecs/main.tf": "deploy/seccomp/millrace.json",
        "terraform/modules/compute_eks/main.tf": "deploy/seccomp/millrace.json",
        "deploy/helm/millrace/values.yaml": "profiles/millrace.json",
    }
    for path, text in places.items():
        assert text in (ROOT / path).read_text(), f"{path} does not use {text}"
    return f"{len(profile['syscalls'][0]['names'])} calls allowed, used in {len(places)} places"


def seccomp_loaded():
    """The profile in a child: a ring under ours, EPERM or ENOSYS under the default's; the whole demo runs under ours."""
    probe = DEPLOY / "tests" / "seccomp_child.py"
    python = tool(VENV / "python")
    ours = call(python, probe, DEPLOY / "seccomp" / "millrace.json", "ring").strip()
    assert ours == "ring 0", f"under ours: {ours}"
    stripped = json.loads((DEPLOY / "seccomp" / "millrace.json").read_text())
    stripped["syscalls"][0]["names"] = [name for name in stripped["syscalls"][0]["names"] if not name.startswith("io_uring")]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(stripped, file)
        file.flush()
        without = call(python, probe, file.name, "ring").strip()
    assert without == "ring 1", f"without the three calls: {without}, EPERM (1) was expected"
    default = call(python, probe, "/usr/share/containers/seccomp.json", "ring").strip()
    assert default in ("ring 1", "ring 38"), f"under the default: {default}"
    fenced = call(python, probe, DEPLOY / "seccomp" / "millrace.json", "fence").strip()
    assert fenced == "ptrace 1, unshare 1, mount 1, keyctl 1", f"what ours refuses: {fenced}"
    call(python, probe, DEPLOY / "seccomp" / "millrace.json", "exec", tool(BINARY), "demo", "--for", "2s", "--rate", "500", "--no-wait",
         "--shards", "1", "--listen", "127.0.0.1:0", timeout=120)
    return f"ours: a ring and a proved demo; without the calls: EPERM; Debian's default: errno {default[5:]}"


def metrics():
    """Names in alerts and dashboard are names that the binary exports."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder, "port")
        environment = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
        process = subprocess.Popen([str(tool(BINARY)), "demo", "--for", "60s", "--rate", "500", "--shards", "1", "--listen", "127.0.0.1:0", "--port-file", str(port_file),
                                    "--chaos", "redeliver"], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while not port_file.exists() and time.monotonic() < until:
                time.sleep(0.2)
            time.sleep(3)
            url = f"http://127.0.0.1:{port_file.read_text().strip()}"
            text = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
            probes = [subprocess.run([str(BINARY), "probe", question, "--listen", url[7:]], capture_output=True, check=False).returncode for question in ("live", "ready")]
        finally:
            # What the demo would prove at its end is not asked here.
            process.kill()
            process.wait(10)
    assert probes == [0, 0], f"`millrace probe` ends with {probes} on a running appliance"
    exported = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M):
        exported.update({f"{name}{ending}": name for ending in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])})
    labels = {}
    for name, found in re.findall(r"^(\w+)\{([^}]*)\}", text, re.M):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', found))
    used = 0
    for file in ("prometheus/alerts.yaml", "grafana/millrace.json"):
        for expression in expressions(DEPLOY / file):
            names = set(re.findall(r"\b((?:millrace|process)_\w+)", expression))
            assert names, f"{file}: no metric in {expression}"
            for name in names:
                assert name in exported, f"{file}: {name} is not exported"
                used += 1
            known = set().union(*(labels.get(name, set()) for name in names)) | {"instance", "job"}
            for group in re.findall(r"by \(([^)]*)\)", expression):
                unknown = {label.strip() for label in group.split(",")} - known
                # A family without a series, such as errors before the first one, shows no labels.
                assert not unknown or any(name not in labels for name in names), f"{file}: {unknown} is no label of {names}"
    return f"{len(exported)} exported names, {used} uses of them, both probes"


def expressions(path):
    """All PromQL of a file."""
    if path.suffix == ".json":
        panels = json.loads(path.read_text())["panels"]
        ids = [panel["id"] for panel in panels]
        assert len(set(ids)) == len(ids), f"{path}: two panels have one id"
        return [target["expr"] for panel in panels for target in panel["targets"]]
    return [rule["expr"] for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    promtool = tool(ROOT / "target" / "promtool" / "usr" / "bin" / "promtool")
    rules = DEPLOY / "prometheus" / "alerts.yaml"
    call(promtool, "check", "rules", rules)
    call(promtool, "test", "rules", DEPLOY / "prometheus" / "alerts.test.yaml")
    tested = (DEPLOY / "prometheus" / "alerts.test.yaml").read_text()
    for rule in [rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]:
        name = rule["alert"]
        assert tested.count(f"alertname: {name}\n") == 2, f"{name} needs a test that fires and one that does not"
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["for"] and rule["annotations"]["runbook"], name
        if (ROOT / "docs" / "runbooks").exists():
            assert (ROOT / rule["annotations"]["runbook"]).exists(), f"{name}: {rule['annotations']['runbook']} is not there"
    return "each rule fires and stays silent"


def chart():
    """The chart in each set of values: lint, render, schemas of Kubernetes; values that cannot work are refused."""
    helm = tool(HELM)
    for copy, source in {"collector.yaml": "otel/collector.yaml", "alerts.yaml": "prometheus/alerts.yaml", "millrace.json": "grafana/millrace.json"}.items():
        assert (CHART / "files" / copy).read_bytes() == (DEPLOY / source).read_bytes(), f"files/{copy} is not deploy/{source}: copy it"
    count = 0
    sets = sorted((CHART / "ci").glob("*.yaml"))
    for values in sets:
        call(helm, "lint", "--strict", "--quiet", CHART, "-f", values)
        text = call(helm, "template", "millrace", CHART, "-n", "millrace", "--kube-version", KUBERNETES, "-f", values)
        count += kubernetes(text, values.name)
        check_pod(next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "Deployment"), values.name)
    check_tls(call(helm, "template", "millrace", CHART, "--kube-version", KUBERNETES, "-f", CHART / "ci" / "tls.yaml"))
    refused = ("image.digest=latest", "replicas=0", "cores=0.5", "drainSeconds=5", "unknown=1", "config=x", "memory=1", "tls.secret=listener")
    for wrong in refused:
        done = subprocess.run([str(helm), "template", "x", str(CHART), "--kube-version", KUBERNETES, "-f", str(CHART / "ci" / "minimal.yaml"), "--set", wrong],
                              capture_output=True, check=False)
        assert done.returncode, f"--set {wrong} is not refused"
    rendered = call(helm, "template", "millrace", CHART, "-n", "millrace", "--kube-version", KUBERNETES, "-f", CHART / "ci" / "minimal.yaml")
    plain = (DEPLOY / "kubernetes" / "millrace.yaml").read_text()
    assert plain.split("\n", 2)[2] == rendered, "deploy/kubernetes/millrace.yaml is not what the chart renders: make deploy-render"
    return f"{count} objects in {len(sets)} sets of values, {len(refused)} wrong values refused"


def kubernetes(text, name):
    """Objects against the schemas of Kubernetes; those of the Prometheus operator have none there."""
    objects = [d for d in yaml.safe_load_all(text) if d]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all([d for d in objects if "monitoring.coreos.com" not in d["apiVersion"]], file)
        file.flush()
        call(tool(VENV / "kubernetes-validate"), "--strict", "-k", KUBERNETES, file.name)
    assert all(d["metadata"]["labels"]["app.kubernetes.io/name"] == "millrace" for d in objects), name
    return len(objects)


def check_pod(deployment, name):
    """What a pump needs and must not have."""
    pod = deployment["spec"]["template"]["spec"]
    pump = pod["containers"][0]
    assert pod["securityContext"]["seccompProfile"]["type"] == "Localhost" and pod["securityContext"]["runAsNonRoot"], name
    assert pump["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name
    assert pump["resources"]["requests"] == pump["resources"]["limits"] and pump["resources"]["limits"]["cpu"].isdigit(), name
    drain = int(re.search(r"drain.deadline=(\d+)s", " ".join(pump["args"])).group(1))
    assert pod["terminationGracePeriodSeconds"] > drain, name
    assert "@sha256:" in pump["image"], name


def check_tls(text):
    """A listener with a certificate: pump and collector both get what they need to know it, the collector no key."""
    objects = [d for d in yaml.safe_load_all(text) if d]
    pod = next(d for d in objects if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {container["name"]: {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"]} for container in pod["containers"]}
    assert "items" not in mounted["millrace"]["/etc/millrace-tls"]["secret"]
    assert [item["key"] for item in mounted["collector"]["/etc/millrace-tls"]["secret"]["items"]] == ["ca.crt"]
    settings = yaml.safe_load(next(d for d in objects if d["kind"] == "ConfigMap" and "collector.yaml" in d["data"])["data"]["collector.yaml"])
    scrape = settings["receivers"]["prometheus"]["config"]["scrape_configs"][0]
    assert scrape["scheme"] == "https" and scrape["tls_config"]["server_name"] == "millrace.example.com", scrape
    assert scrape["static_configs"] == [{"targets": ["127.0.0.1:8443"]}], scrape
    policy = next(d for d in objects if d["kind"] == "NetworkPolicy")
    assert {port["port"] for port in policy["spec"]["ingress"][0]["ports"]} == {8443, 9464}, policy


def unit():
    """The unit under systemd-analyze, with the binary where it says."""
    analyze = tool("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        stub = Path(folder, "millrace")
        shutil.copy(tool(BINARY), stub)
        text = (DEPLOY / "systemd" / "millrace.service").read_text()
        path = Path(folder, "millrace.service")
        path.write_text(text.replace("/usr/bin/millrace", str(stub)))
        done = subprocess.run([analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, check=False)
        trouble = [line for line in done.stderr.splitlines() if "millrace" in line]
        assert not trouble, "\n".join(trouble)
        exposure = subprocess.run([analyze, "security", "--offline=true", "--threshold=25", "--no-pager", str(path)], capture_output=True, text=True, check=False)
        level = re.search(r"exposure level for \S+: (\S+ \w+)", exposure.stdout)
        assert exposure.returncode == 0, exposure.stdout[-1500:]
    assert "io_uring_setup io_uring_enter io_uring_register" in text and "Type=notify" in text
    drain = int(re.search(r"drain\.deadline \((\d+) s\)", text).group(1))
    stop = int(re.search(r"TimeoutStopSec=(\d+)s", text).group(1))
    default = re.search(r'deadline = "(\d+)s"', call(BINARY, "config", "default")).group(1)
    assert int(default) == drain < stop, "the unit's time to stop does not fit the drain's deadline"
    return f"verified; exposure {level.group(1) if level else 'low'}"


def configurations():
    """Every configuration that is shipped is one that the binary takes."""
    count = 0
    for path in [DEPLOY / "debian" / "millrace.toml", DEPLOY / "compose" / "millrace.toml"]:
        call(tool(BINARY), "validate", "--no-env", path, env={"AWS_REGION": "eu-west-1"})
        count += 1
    for values in (CHART / "values.yaml", CHART / "ci" / "tls.yaml"):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(yaml.safe_load(values.read_text())["config"])
            file.flush()
            call(BINARY, "validate", "--no-env", file.name, "--set", "drain.deadline=25s", env={"AWS_REGION": "eu-west-1"})
            count += 1
    return f"{count} files"


def image():
    call(tool(VENV / "hadolint"), "--failure-threshold", "info", DEPLOY / "docker" / "Dockerfile")
    scripts = [*DEPLOY.glob("docker/*.sh"), *DEPLOY.glob("debian/post*"), *DEPLOY.glob("dist/*.sh"), *DEPLOY.glob("tests/*.sh")]
    call(tool("shellcheck"), *scripts)
    return f"hadolint, and {len(scripts)} scripts through shellcheck"


def compose():
    """Keys that a runtime would refuse are found by the reader; what must be said is looked at."""
    stack = yaml.safe_load((DEPLOY / "compose" / "compose.yml").read_text())
    pump = stack["services"]["millrace"]
    assert pump["read_only"] and pump["cap_drop"] == ["ALL"] and pump["ulimits"]["memlock"] >= 512 << 10
    assert not any("unconfined" in option for option in pump["security_opt"]) and "privileged" not in pump
    for service in stack["services"].values():
        assert not service["image"].endswith(":latest") and ":" in service["image"]
        for volume in service.get("volumes", []):
            assert (DEPLOY / "compose" / volume.split(":")[0]).exists(), volume
    if shutil.which("docker-compose"):
        call("docker-compose", "-f", "compose.yml", "config", "--quiet", cwd=DEPLOY / "compose")
        return "read by docker-compose"
    raise Skip("docker-compose is not installed; the file's own rules were checked")


def cloudformation():
    """cfn-lint, and the same rights, queue and task as Terraform's."""
    call(tool(VENV / "cfn-lint"), DEPLOY / "cloudformation" / "millrace.yaml")
    text = (DEPLOY / "cloudformation" / "millrace.yaml").read_text()
    terraform = (ROOT / "terraform" / "modules" / "iam" / "main.tf").read_text()
    consume = re.search(r'sid\s+= "ConsumeOneQueue"\s+actions\s+= \[(.*?)\]', terraform, re.S).group(1)
    for action in re.findall(r'"(\w+:\w+)"', consume):
        assert f'"{action}"' in text, f"CloudFormation does not grant {action}"
    task = (ROOT / "terraform" / "modules" / "compute_ecs" / "main.tf").read_text()
    for terraform_text, template_text in {
        'user              = "65532:65532"': 'User: "65532:65532"', 'drop = ["ALL"]': "Drop: [ALL]", "memlock_bytes = 268435456": "SoftLimit: 268435456",
        '["no-new-privileges"]': "[no-new-privileges]", '"/usr/bin/millrace", "probe", "live"': "/usr/bin/millrace, probe, live",
        "readonlyRootFilesystem = true": "ReadonlyRootFilesystem: true", "distinctInstance": "distinctInstance", "maxReceiveCount": "maxReceiveCount: 10",
    }.items():
        where = task if terraform_text in task else (ROOT / "terraform" / "modules" / "queue" / "main.tf").read_text()
        assert terraform_text in where, f"Terraform no longer says {terraform_text}: compare again"
        assert template_text in text, f"CloudFormation does not say {template_text}"
    return "clean, and in step with Terraform"


def scanned():
    text = call(tool(CHECKOV), "--config-file", DEPLOY / ".checkov.yaml", "-d", DEPLOY, timeout=240)
    assert "Parsing errors" not in text, text
    kinds = re.findall(r"^(\w+) scan results:\n\nPassed checks: (\d+), Failed checks: 0", text, re.M)
    assert {kind for kind, _ in kinds} == {"cloudformation", "dockerfile", "kubernetes"}, f"not all kinds were scanned: {text}"
    return ", ".join(f"{count} of {kind}" for kind, count in kinds)


def collector():
    """The collector's file: its target is where the appliance listens by default, its pipeline names what it defines."""
    settings = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
    listen = re.search(r'#listen = "(.*)"', call(tool(BINARY), "config", "default")).group(1)
    assert settings["receivers"]["prometheus"]["config"]["scrape_configs"][0]["static_configs"][0]["targets"] == [listen]
    for pipeline in settings["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert all(name in settings[kind] for name in names), kind
    return f"scrapes {listen}"


def image_root():
    """The image's root folder assembled as the Dockerfile does, and the demo in it as nobody, without Docker."""
    if os.geteuid() != 0:
        raise Skip("needs root to change root")
    folder = tempfile.mkdtemp(prefix="millrace-image-")
    os.chmod(folder, 0o755)  # nobody must get in
    try:
        stripped = Path(folder, "millrace")
        call("strip", "-o", stripped, tool(BINARY))
        call("bash", DEPLOY / "docker" / "root.sh", folder, stripped)
        stripped.unlink()
        nobody = [*inside(folder, "65532:65532"), "/usr/bin/millrace"]
        call(*nobody, "version")
        done = call(*nobody, "demo", "--for", "3s", "--rate", "1000", "--shards", "1", "--no-wait", "--listen", "127.0.0.1:0", timeout=120)
        size = sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
        files = sum(1 for path in Path(folder).rglob("*") if path.is_file())
        assert "sh" not in {path.name for path in Path(folder, "usr", "bin").iterdir()}, "there is a shell in the image"
        return f"{files} files, {size >> 20} MiB; demo as uid 65532: {re.search(r'read back.*', done).group(0).strip()[:90] if 'read back' in done else 'proved'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    layers = Layers()
    for name, work in {
        "seccomp: one source": one_seccomp, "seccomp: loaded": seccomp_loaded, "metrics named": metrics, "alerts": alerts, "helm chart": chart, "systemd unit": unit,
        "configurations": configurations, "image and scripts": image, "compose": compose, "collector": collector, "cloudformation": cloudformation,
        "checkov deploy": scanned, "image root": image_root, "recovery": recovery.play,
    }.items():
        layers.run(name, work)
    layers.end()


if __name__ == "__main__":
    main()
