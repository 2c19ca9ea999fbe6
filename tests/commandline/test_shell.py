"""Quoting: a path reaches the program whatever its name, and a printed command can be pasted."""

import ast
import html
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from sweeps import write_sweep

from scalian_exp.actions.recommend import print_listing
from scalian_exp.commandline.actions import as_override
from scalian_exp.commandline.shell import command, command_to_resume, word
from scalian_exp.commandline.terminal import display
from scalian_exp.refusal import Refusal
from scalian_exp.results.page import page
from scalian_exp.results.summary import print_rows, summarise
from scalian_exp.run.record import print_table
from scalian_exp.run.resume import no_run_in
from scalian_exp.sweep.resume import command_to_resume_sweep, resumed_sweep
from scalian_exp.vocabulary.grammar import expand_home, literal, quote_texts, text_of

NASTY = [
    *["epoch=3-step=100.ckpt", "lr=1, b=2", "runs [old]/a [1]", "it's", 'say "x"', "~x", "-m", "a~b", "$HOME"],
    *["a${", r"back\slash", r"end\\", r"\'", "{a:1}", "(x)", "[x]", "5", "1e3", "null", "true", "choice(1)"],
    *["range(1,3)", "glob(*)", "ü/ñ", "a b", " a ", "a;b&c|d", "#1", "!x", "`id`", "a\nb", "*", "?", "%s", "x,"],
    *["a:b", "<x>", "a=b=c", "${seed}"],
]  # fmt: skip


def read_by_hydra(argument: str) -> str:
    """Return the value that the program gets from an override that the shell passed on."""
    return text_of(argument)


def pasted(line: str) -> list[str]:
    """Return the arguments that bash passes to a program."""
    script = f"set -f; show() {{ printf '%s\\0' \"$@\"; }}; show {line}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return result.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("text", NASTY)
def test_any_text_survives_pasting(text: str) -> None:
    (argument,) = pasted(word("dataset.root", text))
    assert read_by_hydra(argument) == text
    assert quote_texts([argument]) == [argument] or read_by_hydra(quote_texts([argument])[0]) == text
    assert pasted(command("scalian-train", f"resume={literal(text)}"))[1:] == [
        argument.replace("dataset.root", "resume")
    ]


@pytest.mark.parametrize("text", [text for text in NASTY if text not in (" a ", "null", r"end\\") and "${" not in text])
@pytest.mark.parametrize("key", ["run", "resume", "init_from", "sweep.resume", "dataset.root", "callbacks.a.judge"])
def test_a_path_needs_quotes_for_the_shell_only(key: str, text: str) -> None:
    (argument,) = quote_texts([f"{key}={text}"])
    assert read_by_hydra(argument) == expand_home(text)
    assert quote_texts([argument]) == [argument]


def test_hydras_own_quotes_keep_their_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for typed, value in (("'a,b'", "a,b"), (r"a\,b", "a,b"), ('"~/photos"', "/home/me/photos"), ("'it\\'s'", "it's")):
        assert read_by_hydra(*quote_texts([f"run={typed}"])) == value
    assert read_by_hydra(*quote_texts(["dataset.root=~/my photos"])) == "/home/me/my photos"
    assert read_by_hydra(*quote_texts(["dataset.root=~nobody-of-this-name/x"])) == "~nobody-of-this-name/x"
    assert quote_texts(["run=${outputs}/x", "+dataset.root=a=b", "run=null", "model=[vae]"]) == [
        *["run=${outputs}/x", '+dataset.root="a=b"', "run=null", "model=[vae]"]
    ]


def test_an_empty_path_is_refused() -> None:
    for key in ("run", "resume", "init_from", "outputs", "dataset.root", "hydra.run.dir"):
        with pytest.raises(Refusal, match=f"{key}= has no path after it"):
            quote_texts([f"{key}="])


def test_the_paths_of_a_sweep_are_separated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lr=1", "lr=2"):
        (tmp_path / name).mkdir()
    override = OverridesParser.create().parse_override(quote_texts(["-m", "run=lr=1,lr=2"])[1])
    assert list(override.sweep_string_iterator()) == ['"lr=1"', '"lr=2"']
    assert quote_texts(["-m", "run=a,5,'x y'"]) == ["-m", "run=a,\"5\",'x y'"]
    assert read_by_hydra(quote_texts(["-m", "run=lr=1, b"])[1]) == "lr=1, b"


def test_actions_take_texts_verbatim() -> None:
    for text in ("Toy Story (1995);Fargo", "5", "a,b", "[x].png", "it's = 5!"):
        argument = as_override(f"image={text}", several=False)
        assert argument.startswith("action.image=")
        assert read_by_hydra(argument) == text
    assert as_override("count=3", several=False) == "action.count=3"
    assert as_override("labels=[1,null]", several=False) == "action.labels=[1,null]"


def test_printed_commands_work_for_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    nasty = Path("lr=1, b [2]'s $x")
    (argument,) = pasted(command_to_resume(nasty))[1:]
    assert read_by_hydra(argument) == str(nasty)
    jobs = [(["model=vae", f"dataset.root={literal(str(nasty))}", f"loss.beta={beta}"], None) for beta in (1, 2)]
    write_sweep(nasty, jobs, [])
    assert summarise(nasty, command_to_resume_sweep(nasty)) == 2
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if line.startswith("go on ")]
    assert read_by_hydra(pasted(line.removeprefix("go on "))[1]) == str(nasty)
    (line,) = [line for line in printed.splitlines() if line.startswith("dashboard ")]
    assert pasted(line.removeprefix("dashboard "))[-1] == str(nasty)
    config = {"overrides": {"task": ["seed=1,2"], "hydra": []}, "runtime": {"cwd": str(tmp_path)}}
    (nasty / "multirun.yaml").write_text(yaml.safe_dump({"hydra": config}))
    (place,) = [each for each in resumed_sweep([f"sweep.resume={nasty}"]) if each.startswith("hydra.sweep.dir")]
    assert read_by_hydra(place) == str(nasty)
    again = [html.unescape(each) for each in re.findall("<code>(.*?)</code>", page(sorted(nasty.glob("?_job")), "x"))]
    assert [read_by_hydra(pasted(line)[2]) for line in again] == [str(nasty)] * 2


def test_printed_text_is_not_interpreted_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    name = "runs [old]/a [1] :dog: [/x]"
    display(f"run folder   {name}")
    print_table(name, {name: name})
    print_listing(name, (name,), [(name,)])
    print_rows(name, [name], [{name: name}])
    assert capsys.readouterr().out.count(name) == 10


def test_only_one_module_prints_with_rich(root: Path) -> None:
    users = []
    for file in sorted((root / "scalian_exp").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if {"Console", "print", "escape"} & {*names} and (node.module or "").startswith("rich"):  # type: ignore[attr-defined]
                users.append(file.name)
    assert users == ["terminal.py"]


def test_advice_to_resume_is_a_complete_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scalian_exp.commandline.shell.program", lambda name: name)
    for job in ("sweep/a b", "sweep/c"):
        Path(job).mkdir(parents=True)
        Path(job, "config.yaml").write_text("seed: 0")
    assert no_run_in(Path("sweep")).endswith("resume one of them; the newest is scalian-train resume=sweep/c")
    with pytest.raises(Refusal, match=r"resume it: scalian-train resume=sweep/c$"):
        resumed_sweep(["sweep.resume=sweep/c"])
