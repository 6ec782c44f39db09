"""A disk that is really full, in a mount namespace of its own: refused in each service's shape, and then it goes on."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.compat.full_disk import ASKED

SCRIPT = 'mount -t tmpfs -o size=24m tmpfs "$1" && exec "$2" -m tests.compat.full_disk "$1"'


def test_full_disk(tmp_path):
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", str(tmp_path), sys.executable],
        capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["upload"][0] == 413 and "not enough disk space" in facts["upload"][1]
    assert facts["image"] == ["queued", []]
    assert set(facts["full"]) == set(facts["again"]) == set(ASKED)
    for service, (status, request_id, text, listed, before) in facts["full"].items():
        assert status == 507 and "full" in text, (service, text)
        assert request_id.startswith("req-") and listed == 200
        made, _, said, listed_again, after = facts["again"][service]
        assert (made // 100, listed_again, after) == (2, 200, before + 1), (service, said)
