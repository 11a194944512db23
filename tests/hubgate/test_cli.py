"""The command line: each option says what it is for, and what is wrong is refused in a sentence at once."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.errors import CouldNotRun
from hubgate.cli import COMMANDS, cli, main

OWN = [name for name in COMMANDS if name not in {"api", "worker", "hub"}]
"""The others become the product's processes and have its options."""


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", OWN)
def test_every_option_has_a_help_line(name: str) -> None:
    silent = [one.name for one in command(name).params if isinstance(one, click.Option) and not one.help]
    assert silent == []
    assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", OWN)
def test_a_target_is_spelled_alike_everywhere(name: str) -> None:
    options = {option for one in command(name).params for option in one.opts}
    assert not options & {"--url", "--kind", "--upstream", "--hub", "--stack"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gate", "--candidate", "stack.internal:8000", "--redis", "redis://h"], "is no URL of a target"),
        (["gate", "--candidate", "http://h:99999", "--redis", "redis://h"], "is no URL of a target"),
        (["gate", "--legacy", "http://[::1"], "is no URL of a target"),
        (["gate", "--redis", "localhost:6379"], "is no URL of a Redis"),
        (["gate", "--candidate", "http://h"], "--candidate needs --redis URL"),
        (["gate", "--candidate", "http://h", "--redis", "redis://h", "--defect", "no-reaper"], "cannot change"),
        (["gate", "--only", "speed"], "is not one of"),
        (["record", "--target", "hub", "--out", "x"], "is no URL of a target"),
        (["replay", "x.jsonl"], "one target is needed"),
        (["replay", "x.jsonl", "--legacy", "ws://h", "--candidate", "http://h"], "one target is needed"),
        (["replay", "x.jsonl", "--candidate", "http://h"], "--candidate needs --redis URL"),
        (["replay", "x.jsonl", "--candidate", "http://h", "--redis", "docker"], "is no URL of a Redis"),
        (["parity", "no-such-cassette"], "there is no cassette called no-such-cassette"),
        (["load", "--legacy", "ws://h", "--candidate", "http://h"], "need --compare"),
        (["load", "--side", "hub", "--candidate", "http://h"], "leave --side out"),
        (["load", "--compare", "--saturation"], "exclude each other"),
        (["load", "--job", "{"], "--job is no job"),
        (["up", "--workers", "-1"], "not in the range"),
        (["failures", "--retry", "--drop"], "exclude each other"),
        (["failures", "--yes"], "--yes goes with"),
        (["gate", "--defect", "no-such-defect"], "there is no defect 'no-such-defect'"),
        (["selftest", "no-such-defect"], "there is no defect 'no-such-defect'"),
        (["record", "--target", "ws://h", "--out", "x", "--listen", "x:80001"], "has to be HOST:PORT"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cli, arguments, env={"COLUMNS": "400"})
    assert done.exit_code == 2, done.output
    assert says in done.output


def ended_by(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status of a command in which that is raised, and what it prints."""

    def raises(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "main", raises)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err  # type: ignore[return-value]


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence_and_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    commands = (["up", "--data"], ["gate", "--only", "no-conflicts", "--out"], ["init", "scenario"])
    for words in commands:
        command = [sys.executable, "-m", "hubgate", *words, str(tmp_path / "file" / "below")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
        assert f"hubgate: {tmp_path / 'file'}" in done.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(28, "No space left on device", "out/run.json"), "out/run.json: No space left on device"),
        (CouldNotRun("no Redis"), "no Redis"),
    ],
)
def test_what_several_tasks_at_once_met_is_told_as_by_one(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for met in (error, ExceptionGroup("tasks", [ExceptionGroup("inner", [error]), RuntimeError("after that")])):
        assert ended_by(met, monkeypatch, capsys) == (3, f"hubgate: {says}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["gate", "--thresholds", "bad.toml"],
        ["gate", "--waivers", "bad.toml", "--only", "no-conflicts"],
        ["load", "--population", "bad.toml"],
        ["replay", "x.jsonl", "--legacy", "ws://127.0.0.1:9", "--deviations", "bad.toml"],
        ["shadow", "--primary", "ws://h", "--candidate", "http://h", "--deviations", "bad.toml"],
        ["shadow", "--primary", "ws://h", "--candidate", "http://h", "--blank", "key"],
        ["record", "--target", "ws://h", "--out", "x.jsonl", "--blank", "key"],
    ],
    ids=" ".join,
)
def test_a_file_or_rule_with_a_mistake_in_it_is_wrong_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("[[", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["hubgate", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (2, 1), said
    assert ("bad.toml" if "bad.toml" in words else "key is no JSON path") in said


@pytest.mark.parametrize(
    ("said", "meant"),
    [("8001", ("127.0.0.1", 8001)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:0", ("::1", 0))],
)
@pytest.mark.parametrize("words", [["record", "--target", "ws://h", "--out", "x"], ["shadow"]], ids=" ".join)
def test_where_to_listen_is_told_alike_to_all(words: list[str], said: str, meant: tuple[str, int]) -> None:
    name, *rest = words
    assert command(name).make_context(name, [*rest, "--listen", said]).params["listen"] == meant


def test_a_fault_of_our_own_is_no_verdict_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = ended_by(ZeroDivisionError("by nothing"), monkeypatch, capsys)
    assert status == 3
    sentence, _, where = said.strip().rpartition(" ")
    assert sentence == "hubgate: this is a fault of hubgate itself (ZeroDivisionError: by nothing); its traceback is in"
    assert "ZeroDivisionError: by nothing" in Path(where).read_text()
    Path(where).unlink()


def test_what_a_process_of_the_product_says_of_itself_is_the_command_that_was_typed() -> None:
    for name in ("api", "worker", "hub"):
        done = subprocess.run(
            [sys.executable, "-m", "hubgate", name, "-h"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout[:17].lower().strip()) == (0, f"usage: hubgate {name}"[:17])


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "hubgate", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []
