"""Searches what a run of the suite printed and left for every secret that was in play.

Usage: secret_scan.py FOLDER, with FOLDER/outputs (texts and files) and FOLDER/secrets (JSON lists of secrets).
A secret counts as found raw, percent-encoded, form-encoded, JSON-escaped, or in base64 at any alignment."""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse


def forms(secret: str) -> set[str]:
    raw = secret.encode()
    found = {
        secret,
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        "".join(f"%{byte:02X}" if not chr(byte).isalnum() else chr(byte) for byte in raw),
        json.dumps(secret)[1:-1],
    }
    for shift in range(3):
        # Whole groups only: what stands beside the secret decides the characters at both ends.
        inner = raw[(3 - shift) % 3 :]
        inner = inner[: len(inner) // 3 * 3]
        if len(inner) >= 6:
            found |= {base64.b64encode(inner).decode(), base64.urlsafe_b64encode(inner).decode()}
    return {form for form in found if "\n" not in form}


def search(folder: pathlib.Path, secrets: set[str]) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".patterns") as patterns:
        patterns.write("\n".join(sorted(form for secret in secrets for form in forms(secret))) + "\n")
        patterns.flush()
        command = ["grep", "-rFoab", "-f", patterns.name, str(folder)]
        done = subprocess.run(command, capture_output=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False)
    if done.returncode > 1:
        sys.exit(f"grep failed: {done.stderr.decode(errors='replace')}")
    hits = done.stdout.decode(errors="replace").splitlines()
    # Never the secret itself: the place and its beginning tell enough.
    return [":".join(hit.split(":")[:2]) + ": begins with " + hit.split(":", 2)[2][:6] for hit in hits]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    secrets = {secret for file in (folder / "secrets").iterdir() for secret in json.loads(file.read_text())}
    outputs = sum(1 for _ in (folder / "outputs").iterdir())
    if len(secrets) < 50 or outputs < 100:
        sys.exit(f"only {len(secrets)} secrets and {outputs} outputs were kept: the suite did not run as it should")
    planted = "planted!Secret+with/other=characters 0123"
    with tempfile.TemporaryDirectory() as place:
        for number, form in enumerate(sorted(forms(planted))):
            pathlib.Path(place, str(number)).write_text(f"before {form} after")
        if len(search(pathlib.Path(place), {planted})) < len(forms(planted)):
            sys.exit("a planted secret was not found: the search does not work")
    found = search(folder / "outputs", secrets)
    print(f"{len(secrets)} secrets were looked for in {outputs} outputs and files: {len(found)} found")
    for line in found[:50]:
        print(line)
    sys.exit(1 if found else 0)


main()
