"""A session as in two terminals: nodes in processes of their own, a client and a dashboard beside them."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from time import sleep

import pytest

from pyraft_lab.cli import main
from pyraft_lab.network import broker
from pyraft_lab.network.access import Account
from tests.commands import Start


def test_a_session_with_three_nodes(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with broker.start() as running:
        client = ["client", "--broker", running.url, "--timeout", "60"]
        nodes = {}
        for id in ("1", "2", "3"):
            founding = ["--init", "--peers", "1,2,3"] if id == "1" else []
            nodes[id] = start("node", "--id", id, "--broker", running.url, "--data", str(tmp_path / id), *founding)
        assert main([*client, "put", "x", "[1, 2]"]) == 0
        nodes["1"].kill()
        assert main([*client, "get", "x"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "[1, 2]"
        assert main([*client, "--json", "status"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert {"2", "3"} <= set(status)
        assert main(["watch", "--broker", running.url, "--once"]) == 0
        assert "leader" in capsys.readouterr().out
        assert main([*client, "transfer", "9"]) == 1
        assert "node 9" in capsys.readouterr().err
        nodes["2"].send_signal(signal.SIGTERM)
        assert nodes["2"].wait(20) == 0
    assert main(["inspect", str(tmp_path / "2")]) == 0


def test_a_voter_that_lost_its_disk_is_seen_in_the_status_and_let_in_by_the_client(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as running:
        client = ["client", "--broker", running.url, "--timeout", "60"]

        def node(id: str, *more: str) -> "subprocess.Popen[str]":
            return start("node", "--id", id, "--broker", running.url, "--data", str(tmp_path / id), *more)

        def status_until(holds: Callable[[str], bool]) -> str:
            shown = ""
            for _ in range(100):
                assert main([*client, "status"]) == 0
                if holds(shown := capsys.readouterr().out):
                    return shown
            raise AssertionError(shown)

        nodes = {"1": node("1", "--init", "--peers", "1,2,3"), "2": node("2"), "3": node("3")}
        assert main([*client, "put", "x", "1"]) == 0
        shown = status_until(lambda text: text.count("applied 3") == 3)
        lost = next(id for id in nodes if f"node {id}  leader" not in shown)
        nodes[lost].kill()
        nodes[lost].wait()
        rmtree(tmp_path / lost)
        nodes[lost] = node(lost)
        shown = status_until(lambda text: "ALARM" in text)
        assert f"ALARM: node {lost} lost acknowledged entries, up to 3" in shown
        assert f"pyraft-lab client allow-next-revert {lost}" in shown
        assert main([*client, "allow-next-revert", "9"]) == 1
        assert "node 9" in capsys.readouterr().err
        assert main([*client, "--json", "allow-next-revert", lost]) == 0
        assert "start again" in json.loads(capsys.readouterr().out)
        assert "ALARM" not in status_until(lambda text: text.count("applied 3") == 3)


def test_a_directory_of_another_node_is_refused_by_the_command(start: Start, tmp_path: Path) -> None:
    with broker.start() as running:
        place = ["--broker", running.url, "--data", str(tmp_path / "3")]
        first = start("node", "--id", "3", *place)
        until_there(tmp_path / "3" / "identity.json")
        first.kill()
        first.wait()
        assert "belongs to node 3 of cluster demo and cannot be used by node 6 of cluster demo" in refused(
            start("node", "--id", "6", *place)
        )
        assert "and cannot be used by node 3 of cluster other" in refused(
            start("node", "--id", "3", "--cluster", "other", *place)
        )


def until_there(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def test_a_learner_that_is_not_heard_of_is_named_and_how_to_start_it(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as running:
        client = ["client", "--broker", running.url, "--timeout", "60"]
        node = ["node", "--broker", running.url, "--data"]
        start(*node, str(tmp_path / "1"), "--id", "1", "--init")
        assert main([*client, "put", "x", "1"]) == 0
        assert main([*client, "--timeout", "1", "add-learner", "7"]) == 1
        told = capsys.readouterr().err
        assert "node 7 was not heard from yet; waiting 1 s" in told
        assert "node 7 was not heard from within 1 s; it is a learner now" in told
        assert f"pyraft-lab node --id 7 --broker {running.url} --data data/7" in told
        assert main([*client, "add-learner", "8", "--no-wait"]) == 0
        assert "8" in capsys.readouterr().out
        start(*node, str(tmp_path / "7"), "--id", "7")
        assert main([*client, "add-learner", "7"]) == 0
        assert main([*client, "change-membership", "1,9"]) == 1
        assert "node 9 has no log yet; first: add-learner 9" in capsys.readouterr().err
        assert main([*client, "change-membership", "1,7"]) == 0
        assert "{1,7}" in capsys.readouterr().out


def test_a_session_says_who_is_no_member_and_why_nobody_leads(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as running:
        client = ["client", "--broker", running.url, "--timeout", "60"]
        node = ["node", "--broker", running.url, "--data"]
        start(*node, str(tmp_path / "1"), "--id", "1", "--init", "--peers", "1,2,3")
        second, _ = (start(*node, str(tmp_path / id), "--id", id) for id in ("2", "3"))
        assert main([*client, "put", "x", "1"]) == 0
        assert main([*client, "transfer", "1"]) == 0
        capsys.readouterr()
        assert main([*client, "change-membership", "1,2"]) == 0
        assert "node 3 is no longer a member; you may stop it" in capsys.readouterr().err
        assert main([*client, "status"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert [line.split()[1] for line in told if line.endswith("not a member")] == ["3"]
        assert main(["watch", "--broker", running.url, "--once"]) == 0
        assert "not a member" in capsys.readouterr().out
        second.kill()
        assert main([*client, "--timeout", "3", "put", "x", "2"]) == 1
        assert "takes a majority of its voters 1, 2; not heard from: 2" in capsys.readouterr().err


def test_a_guarded_room_lets_learners_sit_and_tells_others_which_account_they_need(start: Start) -> None:
    ann, bob = (Account(name=name, part="learner") for name in ("ann", "bob"))
    guest, node, teacher = Account(name="guest", part="client"), Account.node(1), Account(name="eve", part="teacher")
    guard = broker.AccessControl(cluster="room9", accounts=(ann, bob, guest, node, teacher))

    def join(account: Account) -> "subprocess.Popen[str]":
        return start("join", "room9", "--broker", account.url(running.url))

    with broker.start(access_control=guard) as running:
        assert "account 1 may not join room room9: it receives nothing from it" in refused(join(node))
        assert until(join(ann), "room room9") == "room room9: you are node 1"
        assert until(join(bob), "room room9") == "room room9: you are node 2"
        told = refused(join(guest))
        assert "account guest may not join room room9: it may not send as node 3" in told
        assert "pyraft-lab broker --cluster room9 --learners NAME" in told
        orders = start("teach", "room9", "--broker", teacher.url(running.url), "--seats", "3")
        assert order(orders, "write x 1") == "x is 1, on a majority of disks"
        say(orders, "quit")
        assert orders.wait(60) == 0


def refused(process: "subprocess.Popen[str]") -> str:
    """The last line of a command that fails."""
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in told
    return told.splitlines()[-1]


def test_a_classroom_fills_and_empties(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with broker.start() as running:
        room = ["--cluster", "room7", "--broker", running.url]
        client = ["client", *room, "--timeout", "60"]
        seats = []
        for node in (1, 2, 3):
            seats.append(start("join", "room7", "--broker", running.url))
            assert seats[-1].stdout is not None
            assert seats[-1].stdout.readline() == f"room room7: you are node {node}\n"
            assert main([*client, "put", "x", str(node)]) == 0
        voters = ""
        while voters != "{1,2,3}":
            assert main([*client, "--json", "status"]) == 0
            status = json.loads(capsys.readouterr().out.splitlines()[-1])
            voters = "{" + ",".join(map(str, sorted(status["1"]["membership"]["configs"][-1]))) + "}"
        seats[2].send_signal(signal.SIGTERM)
        assert seats[2].wait(30) == 0
        seats.append(start("join", "room7", "--broker", running.url))
        assert until(seats[-1], "room room7") == "room room7: you are node 4", "nobody gets a number that was used"
        assert main([*client, "partition", "1", "2"]) == 0
        assert main([*client, "heal"]) == 0
        assert main([*client, "get", "x"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "3"


def test_a_teacher_fills_a_room_and_a_learner_plays_in_it_by_hand(start: Start) -> None:
    with broker.start() as running:
        room = ["room8", "--broker", running.url]
        teacher = start("teach", *room, "--seats", "3")
        assert order(teacher, "write x 1") == "x is 1, on a majority of disks"
        learner = start("join", *room, "--by-hand", "--every")
        assert "you are node" in until(learner, "room room8")
        assert order(teacher, "count on") == "3 seats filled   answers count"
        while not marked(learner):
            pass  # the node had moved on meanwhile
        assert order(teacher, "pace 0.5").startswith("pace: '0.5' is not a pace: 1 is the usual pace")
        assert order(teacher, "cut 1") == "cut takes two nodes, as 1 2, not '1'"
        learner.send_signal(signal.SIGTERM)
        assert learner.wait(60) == 0
        say(teacher, "quit")
        assert teacher.wait(60) == 0


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def until(process: "subprocess.Popen[str]", part: str) -> str:
    """The next line it says in which this occurs."""
    assert process.stdout is not None
    return next(line.rstrip("\n") for line in process.stdout if part in line)


def marked(learner: "subprocess.Popen[str]") -> bool:
    """Answer the next question about entries; whether the answer came in time to be marked."""
    until(learner, "  refuse  ")
    say(learner, "refuse")
    said = until(learner, "")
    while not said.startswith(("✓", "✗", "The node has moved on")):
        said = until(learner, "")
    return said[0] in "✓✗"


def order(teacher: "subprocess.Popen[str]", line: str) -> str:
    """What the teacher's room says to an order."""
    say(teacher, line)
    return until(teacher, "")


def test_a_client_gives_up_in_words_where_nobody_is(capsys: pytest.CaptureFixture[str]) -> None:
    with broker.start() as running:
        assert main(["client", "--broker", running.url, "--timeout", "0.3", "status"]) == 1
    assert "did not happen within 0.3 s" in capsys.readouterr().err


def test_a_broker_prints_its_url_and_ends_at_a_sign(start: Start) -> None:
    process = start("broker")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("mqtt://127.0.0.1:")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_port_in_use_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with broker.start() as its:
        assert main(["broker", "--port", str(its.port)]) == 1
    told = capsys.readouterr().err
    assert f"no broker can listen at 127.0.0.1:{its.port}: Address already in use; choose another --port" in told


def test_a_node_that_cannot_start_says_why_in_one_line(start: Start, tmp_path: Path) -> None:
    with broker.start() as its:
        node = ["node", "--id", "1", "--broker", its.url, "--log-level", "error", "--data"]
        first = start(*node, str(tmp_path / "1"), "--init")
        assert main(["client", "--broker", its.url, "--timeout", "60", "put", "x", "1"]) == 0
        in_use = refused(start(*node, str(tmp_path / "1")))
        assert "is in use by another node" in in_use
        assert in_use.rstrip().endswith("stop the other one first, or take another directory")
        assert "node 1 is running elsewhere in this cluster" in refused(start(*node, str(tmp_path / "2")))
        (tmp_path / "file").touch()
        no_directory = refused(start(*node, str(tmp_path / "file")))
        assert "is a file and should be a directory" in no_directory
        assert "name a directory, an empty or a new one for a new node" in no_directory
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
    assert "cannot be reached" in refused(start(*node, str(tmp_path / "1")))


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_a_broker_that_dies_by_itself_is_reported(start: Start, kind: str) -> None:
    if kind == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    process = start("broker", "--kind", kind)
    assert process.stdout is not None
    port = process.stdout.readline().strip().rpartition(":")[2]
    servers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if serves(path, port)]
    assert len(servers) == 1
    os.kill(int(servers[0].parent.name), signal.SIGKILL)
    assert process.wait(20) == 1
    assert "has ended" in process.communicate()[1]


def serves(path: Path, port: str) -> bool:
    """Whether a process is the broker of that port."""
    try:
        words = path.read_bytes().decode().rstrip("\0").split("\0")
        if words[1:3] == ["-m", "pyraft_lab.network.embedded"]:
            return words[4] == port
        return words[0].endswith("mosquitto") and f"listener {port} " in Path(words[2]).read_text()
    except (OSError, IndexError):
        return False


@pytest.mark.parametrize(
    "words",
    [
        ["node", "--id", "0", "--broker", "mqtt://localhost", "--data", "x"],
        ["node", "--id", "1", "--broker", "http://localhost", "--data", "x"],
        ["node", "--id", "1", "--broker", "mqtt://localhost", "--data", "x", "--cluster", "a/b"],
        ["node", "--id", "1", "--broker", "mqtt://localhost", "--data", "x", "--peers", "1,1"],
        ["node", "--id", "1", "--broker", "mqtt://localhost", "--data", "x", "--config", '{"heartbeat_interval": 9}'],
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    assert "error: argument" in capsys.readouterr().err
