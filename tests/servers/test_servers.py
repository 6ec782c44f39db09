"""Private servers answer real clients, survive whatever is killed, and leave nothing running behind."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import aio_pika
import aiomysql
import asyncpg
import pytest

TREE = Path(__file__).parents[2]
TOOL = TREE / "tools" / "servers"
# PostgreSQL wants to know its user's name.
ORDINARY_USER = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where servers of other accounts can get to; pytest's own folders are closed to them."""
    path = Path(tempfile.mkdtemp(prefix="pileus-test-servers-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        tool("stop", "--dir", str(path))
        left = [pidfd for pidfd in members(path).values() if not ended(pidfd)]
        shutil.rmtree(path)
        assert not left


def tool(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *words]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


def start(folder: Path, *names: str) -> dict[str, str]:
    began = time.monotonic()
    done = tool("start", *names, "--json", "--dir", str(folder))
    assert done.returncode == 0, done.stderr
    print(f"{' '.join(names) or 'all'}: {time.monotonic() - began:.1f} s")
    return json.loads(done.stdout)


def members(folder: Path) -> dict[int, int]:
    """A pidfd for every process that works in the folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found[int(entry.name)] = os.pidfd_open(int(entry.name))
        except OSError:
            continue
    return found


def listening(pids: Iterable[int]) -> list[str]:
    lines = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.split()[3] for line in lines if any(f"pid={pid}," in line for pid in pids)]
    assert len(found) >= 4
    return found


def ended(pidfd: int, seconds: float = 0.0) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def wait_for(true: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


async def on_postgresql(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    rows = await connection.fetch(statement)
    await connection.close()
    return str([tuple(row) for row in rows])


async def on_mariadb(url: str, statement: str) -> str:
    account, _, place = url.removeprefix("mysql+aiomysql://").partition("@")
    user, password = account.split(":")
    address, _, database = place.partition("?")[0].partition("/")
    host, port = address.split(":")
    connection = await aiomysql.connect(host=host, port=int(port), user=user, password=password, db=database)
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        rows = await cursor.fetchall()
    await connection.commit()
    connection.close()
    return str(list(rows))


async def pass_message(url: str, name: str) -> bytes:
    """Through a new queue: RabbitMQ notes a quorum queue's place seconds late, and a kill before that loses it."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(name.encode()), routing_key=name)
        message = await queue.get(timeout=10)
        await message.ack()
        return message.body


async def test_all_through_a_kill(folder: Path) -> None:
    first = start(folder)
    assert list(first) == [f"PILEUS_TEST_{name}" for name in (
        "POSTGRESQL", "MARIADB", "RABBITMQ", "SLAPD", "OIDC", "SAML")]
    await on_postgresql(first["PILEUS_TEST_POSTGRESQL"], "CREATE TABLE kept AS SELECT 'since before' AS word")
    await on_mariadb(first["PILEUS_TEST_MARIADB"], "CREATE TABLE kept AS SELECT 'since before 🍄' AS word")
    assert await pass_message(first["PILEUS_TEST_RABBITMQ"], "one") == b"one"
    await on_postgresql(first["PILEUS_TEST_POSTGRESQL"], "CREATE DATABASE another")
    await on_mariadb(first["PILEUS_TEST_MARIADB"], "CREATE DATABASE another")
    assert start(folder) == first, "what runs is left alone"

    for pid in members(folder):
        os.kill(pid, signal.SIGKILL)
    status = tool("status", "--dir", str(folder), "--json")
    assert (status.returncode, status.stdout) == (3, "{}\n")

    second = start(folder)
    assert "since before" in await on_postgresql(second["PILEUS_TEST_POSTGRESQL"], "SELECT word FROM kept")
    assert "since before" in await on_mariadb(second["PILEUS_TEST_MARIADB"], "SELECT word FROM kept")
    assert await pass_message(second["PILEUS_TEST_RABBITMQ"], "two") == b"two"
    assert all(address.startswith(("127.0.0.1:", "[::1]:")) for address in listening(members(folder)))

    running = members(folder)
    for _ in range(2):
        assert tool("stop", "--dir", str(folder)).returncode == 0
        assert all(ended(pidfd) for pidfd in running.values())
    assert not members(folder)


async def test_a_half_made_server_is_made_anew(folder: Path) -> None:
    (folder / "postgresql" / "data").mkdir(parents=True)
    (folder / "postgresql" / "data" / "PG_VERSION").write_text("15")
    url = start(folder, "postgresql")["PILEUS_TEST_POSTGRESQL"]
    assert await on_postgresql(url, "SELECT 1") == "[(1,)]"


def test_a_lost_main_process_is_recovered(folder: Path) -> None:
    """The name server of an Erlang node would go on for ever, PostgreSQL's children for a moment."""
    start(folder, "postgresql", "rabbitmq")
    before = members(folder)
    programs = {pid: os.readlink(f"/proc/{pid}/exe") for pid in before}
    postmaster = int((folder / "postgresql" / "data" / "postmaster.pid").read_text().split()[0])
    for pid in [postmaster, *(pid for pid, program in programs.items() if program.endswith("beam.smp"))]:
        os.kill(pid, signal.SIGKILL)
    for name in ("postgresql", "rabbitmq"):
        (folder / name / "process.json").unlink()
    start(folder, "postgresql", "rabbitmq")
    assert all(ended(pidfd) for pidfd in before.values())


@pytest.mark.parametrize("wanted", [0, 9])
def test_run_passes_addresses_and_the_exit_status(wanted: int) -> None:
    code = f"import os, sys; print(os.environ['PILEUS_TEST_POSTGRESQL']); sys.exit({wanted})"
    done = tool("run", "postgresql", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout[:24]) == (wanted, "postgresql+asyncpg://pil"), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_stops_when_told(folder: Path, number: signal.Signals) -> None:
    code = "import os, pathlib, time; pathlib.Path(os.environ['MARK']).touch(); time.sleep(60)"
    mark = folder / "mark"
    command = [sys.executable, TOOL, "run", "postgresql", "--dir", folder / "x", "--", sys.executable, "-c", code]
    (folder / "x").mkdir(mode=0o711)
    running = subprocess.Popen(command, env=os.environ | {"MARK": str(mark)})
    wait_for(mark.exists)
    inside = members(folder)
    assert inside
    running.send_signal(number)
    assert running.wait(timeout=30) == 128 + number
    assert all(ended(pidfd) for pidfd in inside.values())


def test_the_next_run_clears_up_after_a_killed_one(folder: Path) -> None:
    temporary = {"TMPDIR": str(folder)}
    command = [sys.executable, TOOL, "run", "postgresql", "--", "sleep", "60"]
    running = subprocess.Popen(command, env=os.environ | temporary)
    wait_for(lambda: [*folder.glob("*/postgresql/server.json")] and len(members(folder)) > 3)
    running.kill()
    running.wait(timeout=10)
    inside = members(folder)
    assert tool("run", "postgresql", "--", "true", **temporary).returncode == 0
    assert all(ended(pidfd) for pidfd in inside.values())
    assert not list(folder.iterdir())


def test_whoever_runs_it_needs_no_rights(folder: Path) -> None:
    """As root, the tests also take the part of an ordinary user, for whom everything runs under the own account."""
    shutil.copytree(TREE / "src" / "pileus" / "sandbox", folder / "src" / "pileus" / "sandbox")
    shutil.copy(TREE / "src" / "pileus" / "__init__.py", folder / "src" / "pileus")
    (folder / "tools").mkdir()
    shutil.copy(TOOL, folder / "tools")
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o777)
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"]
    interpreter = "/usr/bin/python3" if prefix else sys.executable
    command = [*prefix, interpreter, folder / "tools" / "servers", "run", "postgresql", "mariadb", "--", "id", "-u"]
    environment = os.environ | {"TMPDIR": str(folder / "tmp")}
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, int(done.stdout or -1)) == (0, ORDINARY_USER if prefix else os.geteuid()), done.stderr
    assert not list((folder / "tmp").iterdir())


def test_mistakes_are_told(folder: Path) -> None:
    assert "there is no server mysql" in tool("start", "mysql", "--dir", str(folder)).stderr
    assert "start needs --dir DIR" in tool("start").stderr
    assert "run needs -- COMMAND" in tool("run").stderr
    if os.geteuid() == 0:
        (folder / "closed").mkdir(mode=0o700)
        refused = tool("start", "postgresql", "--dir", str(folder / "closed" / "x"))
        assert refused.returncode == 1 and f"chmod o+x {folder / 'closed'}" in refused.stderr
