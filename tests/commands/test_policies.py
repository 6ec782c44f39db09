"""A policy file counts for all services, and must mean something to one of them."""

import pytest

from pileus.kit.config import BadConfig
from pileus.processes.policies import policies_of


def test_a_file_for_all_services(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("os_compute_api:servers:create: role:builder\nidentity:create_user: '!'\n")
    found = policies_of(file)
    assert found["compute"].checks["os_compute_api:servers:create"] == "role:builder"
    assert found["identity"].checks["identity:create_user"] == "!"
    assert found["compute"].overridden == {"os_compute_api:servers:create"}
    assert not found["compute"].allows("os_compute_api:servers:create", {"roles": ["admin"]}, {})


@pytest.mark.parametrize(("text", "said"), [
    ("identity:create_usr: '@'\nos_compute_api:servers:bake: '@'\n", "create_usr, os_compute_api:servers:bake"),
    ("identity:create_user: role:admin or\n", "identity:create_user cannot be read")])
def test_what_means_nothing(tmp_path, text, said):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(BadConfig, match=said):
        policies_of(tmp_path / "policy.yaml")
