"""What `pileus destroy` must not take along."""

import os
import subprocess
import sys


def test_what_is_mounted_in_the_state_folder_is_left_alone(tmp_path):
    share, place = tmp_path / "share", tmp_path / "state" / "volumes" / "nfs-1"
    for folder in (share, place):
        folder.mkdir(parents=True)
    (share / "disk").write_text("somebody's")
    (tmp_path / "state" / "choices.json").write_text("{}")
    destroy = f"{sys.executable} -m pileus destroy --yes --state {tmp_path / 'state'}"
    alone = ["unshare", "--mount", *(("--map-root-user",) if os.getuid() else ())]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([*alone, "sh", "-c", f"mount --bind {share} {place} && {destroy}"], env=paths,
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0 and f"{place} is a file system of its own" in done.stderr, done
    assert (share / "disk").read_text() == "somebody's"
    assert subprocess.run(destroy.split(), env=paths, capture_output=True, check=False).returncode == 0
    assert not (tmp_path / "state").exists()
