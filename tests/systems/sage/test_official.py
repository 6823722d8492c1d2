"""Import of the authors' weights from made archives in the layouts of their three settings."""

import shutil
import zipfile

import pytest
import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.official import (
    find_files,
    import_decoder,
    load_refiner,
    load_vqvae,
    stage_of_file,
)
from contrapposto.systems.sage.vqvae import SageVQVAE

SMALL_VQVAE = {"hidden": 32, "heads": 4, "num_books": 4, "num_codes": 64, "code_dim": 32}
DIFFUSION = (20, 32, 32, 2, 2)
FOLDERS = {
    "S1": ("upper_vqvae", "lower_vqvae", "decoder", "refiner"),
    "S2": ("body_vqvae_upper_FULL", "body_vqvae_lower_FULL", "decoder_FULL", "refiner_FULL"),
    "S3": ("upper_vqvae_full_rand0", "lower_vqvae_full_rand0", "decoder_full_rand0", "refiner_full_rand0"),
}


def networks(blocks=4, layers=2):
    torch.manual_seed(1)
    return {
        "upper_vqvae": SageVQVAE("upper", num_layers=(blocks, blocks), block_size=2048, **SMALL_VQVAE),
        "lower_vqvae": SageVQVAE("lower", num_layers=(blocks, blocks), block_size=2048, **SMALL_VQVAE),
        "first": MotionDiffusion(False, *DIFFUSION),
        "second": MotionDiffusion(True, *DIFFUSION),
        "decoder": FullBodyDecoder(20, 32, 32, 2, 2),
        "refiner": Refiner(layers, 16),
    }


def save(content, folder):
    folder.mkdir(parents=True)
    torch.save(content, folder / "best.pth.tar")


def write_archive(root, setting="S1", wrapped=False, **sizes):
    """What a released archive unpacks to; `wrapped`: the refiner as the authors' own training writes it."""
    made = networks(**sizes)
    states = {name: network.state_dict() for name, network in made.items()}
    upper, lower, decoder, refiner = (root / "outputs" / name for name in FOLDERS[setting])
    save(states["upper_vqvae"], upper)
    save(states["lower_vqvae"], lower)
    combined = {
        f"{ours}_state_dict": states[name] for ours, name in (("upper", "first"), ("lower", "second"))
    }
    save({"epoch": 11, **combined, "decoder_state_dict": states["decoder"]}, decoder)
    save({"epoch": 17, "state_dict": states["refiner"]} if wrapped else states["refiner"], refiner)
    return made


@pytest.mark.parametrize("setting", FOLDERS)
def test_all_four_files_of_a_setting_are_found(setting, tmp_path):
    write_archive(tmp_path, setting)
    outputs = tmp_path / "outputs"
    expected = [outputs / name / "best.pth.tar" for name in FOLDERS[setting]]
    for path in (outputs, tmp_path, *(outputs / name for name in FOLDERS[setting]), *expected):
        assert find_files(path).need("upper_vqvae", "lower_vqvae", "decoder", "refiner") == expected


def test_files_of_several_settings_are_told_apart(tmp_path):
    for setting in FOLDERS:
        write_archive(tmp_path, setting)
    with pytest.raises(InputError, match="several settings") as caught:
        find_files(tmp_path)
    assert "decoder_FULL" in caught.value.fix
    found = find_files(tmp_path / "outputs" / "decoder_FULL")
    assert found.refiner == tmp_path / "outputs" / "refiner_FULL" / "best.pth.tar"


def test_a_file_that_lies_elsewhere_is_known_by_its_content(tmp_path):
    write_archive(tmp_path)
    for folder, stage in zip(FOLDERS["S1"], ("upper_vqvae", "lower_vqvae", "decoder", "refiner")):
        path = tmp_path / f"{folder}.pth"
        shutil.copy(tmp_path / "outputs" / folder / "best.pth.tar", path)
        assert stage_of_file(path) == stage
        found = find_files(path)
        assert getattr(found, stage) == path
        with pytest.raises(MissingError, match="lack the") as caught:
            found.need("decoder", "refiner")
        assert "best.pth.tar" in caught.value.expected


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingError, match="nothing at"):
        find_files(tmp_path / "absent")
    with pytest.raises(MissingError, match="no weights of the authors") as caught:
        find_files(tmp_path)
    assert "decoder*/best.pth.tar" in caught.value.expected
    write_archive(tmp_path)
    shutil.rmtree(tmp_path / "outputs" / "refiner")
    with pytest.raises(MissingError, match="lack the refiner") as caught:
        find_files(tmp_path).need("decoder", "refiner")
    assert str(tmp_path / "outputs" / "decoder" / "best.pth.tar") in caught.value.found
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="none of the authors' four files"):
        find_files(tmp_path / "other.pth")
    with zipfile.ZipFile(tmp_path / "outputs.zip", "w") as archive:
        archive.write(tmp_path / "outputs" / "decoder" / "best.pth.tar")
    with pytest.raises(InputError, match="archive") as caught:
        find_files(tmp_path / "outputs.zip")
    assert "unpack" in caught.value.fix


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("layers", [2, 3])
def test_both_layouts_and_depths_of_the_refiner(wrapped, layers, tmp_path):
    made = write_archive(tmp_path, wrapped=wrapped, layers=layers)
    network, report = load_refiner(*find_files(tmp_path).need("refiner"), {"hidden": 16})
    assert report.complete and network.refine_net.num_layers == layers
    coarse = torch.randn(1, 7, 132)
    torch.testing.assert_close(network(coarse), made["refiner"](coarse))


@pytest.mark.parametrize("blocks", [4, 6])
def test_auto_encoders_take_the_sizes_of_their_file(blocks, tmp_path):
    made = write_archive(tmp_path, blocks=blocks)
    network, report = load_vqvae(*find_files(tmp_path).need("lower_vqvae"), "lower")
    assert report.complete and len(network.encoder_stacks[0].blocks) == blocks
    motion, sparse = torch.randn(2, 20, 54), torch.randn(2, 20, 3, 18)
    expected = made["lower_vqvae"].eval()(motion, sparse)
    torch.testing.assert_close(network(motion, sparse).reconstruction, expected.reconstruction)
    with pytest.raises(InputError, match="do not fit"):
        load_vqvae(*find_files(tmp_path).need("lower_vqvae"), "upper")


def test_every_key_of_the_decoder_file_is_reported(tmp_path):
    made = write_archive(tmp_path)
    file = find_files(tmp_path).need("decoder")[0]
    fresh = {name: network for name, network in networks().items() if name in ("first", "second", "decoder")}
    for network in fresh.values():
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
    reports = import_decoder(file, fresh)
    for name, report in reports.items():
        state = made[name].state_dict()
        assert {*report.matched, *report.constructed} == set(state)
        assert all(torch.equal(fresh[name].state_dict()[key], state[key]) for key in report.matched)
    with pytest.raises(InputError, match="not the decoder's file"):
        import_decoder(find_files(tmp_path).need("refiner")[0], fresh)


# Numbers of tensors and weights in the released files (docs/specs/sage.md, section 7 and 10; sage_state_dict.json).
RELEASED = {
    "upper_vqvae": (161, 7_239_436),
    "lower_vqvae": (161, 7_200_986),
    "first": (136, 57_969_432),
    "second": (138, 58_264_728),
    "decoder": (86, 4_035_374),
    "refiner": (10, 2_635_908),
    "upper_vqvae_6": (225, 10_398_476),
    "lower_vqvae_6": (225, 10_360_026),
    "refiner_3": (14, 4_211_844),
}


def test_full_size_networks_have_the_released_files_keys():
    with torch.device("meta"):
        full = {
            "upper_vqvae": SageVQVAE("upper"),
            "lower_vqvae": SageVQVAE("lower"),
            "first": MotionDiffusion(False),
            "second": MotionDiffusion(True),
            "decoder": FullBodyDecoder(),
            "refiner": Refiner(),
            "upper_vqvae_6": SageVQVAE("upper", (6, 6)),
            "lower_vqvae_6": SageVQVAE("lower", (6, 6)),
            "refiner_3": Refiner(3),
        }
    counts = {name: (len(n.state_dict()), sum(p.numel() for p in n.parameters())) for name, n in full.items()}
    assert counts == RELEASED
