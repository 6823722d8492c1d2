"""contrapposto fetch scail-weights: downloads that resume and are checked, from a server of this machine."""

import hashlib

import pytest
import yaml

from contrapposto import cli
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.systems.scail_pose import weights
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.weights import fetch_weights, model_files, model_path
from tests.data.conftest import Server


@pytest.fixture
def served(tmp_path):
    """A server with three files of ours, and a catalogue that names them."""
    root = tmp_path / "server"
    root.mkdir()
    server, content = Server(root), {}
    for number, (name, file) in enumerate(model_files().items()):
        data = bytes([number]) * 300_000
        (root / name).write_bytes(data)
        content[name] = {
            **vars(file),
            "url": f"{server.url}/{name}",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        content[name]["bytes"] = len(data)
    catalogue = tmp_path / "weights.yaml"
    catalogue.write_text(yaml.safe_dump(content, sort_keys=False))
    yield server, catalogue
    server.close()


def test_everything_lands_where_it_is_looked_for(served, tmp_path, capsys):
    server, catalogue = served
    folder = tmp_path / "pretrained"
    paths = fetch_weights(folder, catalogue=catalogue)
    assert [model_path(name, folder) for name in ("yolox", "dwpose", "nlf")] == paths
    assert all(path.stat().st_size == 300_000 for path in paths)
    said = capsys.readouterr().out
    assert "Apache-2.0" in said and "non-commercial" in said
    count = len(server.requests)
    fetch_weights(folder, catalogue=catalogue)
    assert len(server.requests) == count  # nothing is downloaded twice


def test_a_broken_download_goes_on(served, tmp_path):
    server, catalogue = served
    server.cut_after, server.cuts = 100_000, 2
    (path,) = fetch_weights(tmp_path, ["yolox"], catalogue)
    assert path.read_bytes() == bytes(300_000)
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100000-", "bytes=200000-"]


def test_another_file_is_refused_and_removed(served, tmp_path):
    server, catalogue = served
    (server.root / "dwpose").write_bytes(b"another")
    with pytest.raises(InputError, match="not the expected file"):
        fetch_weights(tmp_path, ["dwpose"], catalogue)
    assert not list(tmp_path.glob("DWPose/*.onnx"))


def test_a_file_of_the_user_stays(served, tmp_path):
    _, catalogue = served
    own = tmp_path / model_files()["yolox"].place
    own.parent.mkdir(parents=True)
    own.write_bytes(b"another version")
    with pytest.raises(InputError, match="another file") as error:
        fetch_weights(tmp_path, ["yolox"], catalogue)
    assert own.read_bytes() == b"another version" and "move the file away" in error.value.fix


def test_a_server_that_lacks_the_file(served, tmp_path):
    """The message names a way that this command has."""
    server, catalogue = served
    (server.root / "dwpose").unlink()
    with pytest.raises(MissingError, match="could not be downloaded") as error:
        fetch_weights(tmp_path, ["dwpose"], catalogue)
    assert f"save it as {tmp_path / model_files()['dwpose'].place}" in error.value.fix
    assert "raw=" not in error.value.fix


def test_the_command(served, tmp_path, monkeypatch, capsys):
    _, catalogue = served
    monkeypatch.setattr(weights.fetch_weights, "__defaults__", (str(tmp_path / "w"), None, catalogue))
    assert cli.main(["fetch", "scail-weights", f"folder={tmp_path / 'w'}", "only=[yolox,dwpose]"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("dw-ll_ucoco_384.onnx")
    assert cli.main(["fetch", "scail-weights", "only=[yolo]"]) == 2 and "yolox" in capsys.readouterr().err
    assert cli.main(["fetch", "scail-weights", "where=here"]) == 2
    assert cli.main(["fetch", "scail-weights", "--help"]) == 0


def test_a_file_that_is_missing_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingError, match="fetch scail-weights"):
        model_path("nlf", tmp_path)
    with pytest.raises(ConfigError, match="only"):
        fetch_weights(tmp_path, ["sam"])
    for file in model_files().values():  # official places over an encrypted connection, whole hashes
        assert file.url.startswith("https://") and len(file.sha256) == 64 and file.licence


def test_the_large_network_is_a_choice(served, tmp_path):
    """It is asked for by name, is looked for in the folder of weights, and does not count among the original's."""
    _, catalogue = served
    with pytest.raises(MissingError, match=r"only=\[blazepose_heavy\]"):
        make_estimator("blazepose", network="heavy", weights=tmp_path)
    with pytest.raises(ConfigError, match="heavy"):
        make_estimator("blazepose", network="huge")
    (path,) = fetch_weights(tmp_path, ["blazepose_heavy"], catalogue)
    assert path == model_path("blazepose_heavy", tmp_path)
    with pytest.raises(InputError, match="LiteRT"):  # the file of the test is no network
        make_estimator("blazepose", network="heavy", weights=tmp_path)
