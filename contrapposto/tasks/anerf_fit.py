"""predict task=anerf_fit: a splat avatar of a person in a video, in minutes on a CPU."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError
from contrapposto.files import atomic_path, sha256, write_json
from contrapposto.outputs import free_folder
from contrapposto.portable import save_portable
from contrapposto.progress import say
from contrapposto.systems.anerf.data.frame_folder import open_frames
from contrapposto.systems.anerf.data.from_views import CAMERAS
from contrapposto.systems.anerf.data.images import ImageOptions, ImageSampler, clean_image
from contrapposto.systems.anerf.data.prepare import prepare_avatar
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.splats.fit import Shown, Subject, TrainingOptions, fit_avatar
from contrapposto.systems.anerf.splats.losses import LossWeights
from contrapposto.systems.anerf.splats.model import SplatOptions
from contrapposto.systems.anerf.splats.renderer import SplatRenderer
from contrapposto.systems.anerf.splats.training import Refinement
from contrapposto.systems.anerf.view import View


class AnerfFit:
    """Make an avatar; see configs/anerf_fit.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        person: str | int = "longest",
        most: int = 300,
        size: int | None = None,
        background: str = "median",
        held_out: float = 0.0,
        focal: float | None = None,
        held_out_camera: str | None = None,
        steps: int = 4000,
        gaussians: int = 10_000,
        refine: bool = True,
        smooth: float = 0.1,
        light: float = 0.05,
        preview: int = 500,
        estimator: Mapping[str, Any] | None = None,
        licence: str = "unknown: the user's own",
        seed: int = 0,
    ) -> None:
        if steps < 1 or gaussians < 100 or most < 2:
            raise ConfigError(
                "An avatar cannot be made with these options.",
                found=f"steps={steps}, gaussians={gaussians}, most={most}",
                expected="steps of 1 or more, gaussians of 100 or more, most of 2 or more",
            )
        self.person, self.most, self.preview = person, most, preview
        self.scene_options: dict[str, Any] = {
            "size": size,
            "background": background,
            "held_out": held_out,
            "licence": licence,
        }
        self.focal, self.steps, self.refine, self.seed = focal, steps, refine, seed
        self.held_out_camera = held_out_camera
        self.weights = LossWeights(smooth=smooth, light=light)
        self.gaussians, self.estimator = SplatOptions(gaussians=gaussians), dict(estimator or {})

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Write `poses.npz`, `scene`, `preview.png` and `model` into `output`."""
        inputs = config.video or config.input
        tag = f"{Path(inputs or config.scene).stem}_avatar" if inputs or config.scene else "avatar"
        output = free_folder(output, ("poses.npz", "scene", "preview.png", "model"), tag)
        scene = AvatarScene.open(config.scene) if config.scene else self._scene(config, output)
        started = time.process_time()
        subject = self._train(scene, output)
        seconds = time.process_time() - started
        psnr = held_out_psnr(scene, subject)
        held = {"novel_view", "novel_pose", "val"} & set(scene.splits)
        which = "held-out images" if held else "images of the video"
        print(f"avatar: {psnr:.1f} dB on {which}, {seconds:.0f} CPU seconds of training")
        folder = self._write(subject, scene, output / "model", psnr)
        return [folder, output / "preview.png"]

    def _scene(self, config: DictConfig, output: Path) -> AvatarScene:
        inputs = config.video or config.input
        if not inputs:
            raise ConfigError("No video given.", expected="video=FILE, or scene=STORE")
        if (Path(inputs) / CAMERAS).is_file():
            return self._scene_of_views(config, Path(inputs), output)
        poses = Path(config.poses) if config.poses else self._poses(Path(inputs), output / "poses.npz")
        report = prepare_avatar(
            "anerf_video",
            output=output / "scene",
            raw=inputs,
            poses=str(poses),
            masks=config.masks,
            focal=self.focal,
            **self.scene_options,
        )
        print(report.summary())
        return report.scene

    def _poses(self, path: Path, file: Path) -> Path:
        from contrapposto.systems.anerf.data.from_video import (
            choose_person,
            fit_person,
            step_of,
            watch,
            write_person,
        )

        video = open_frames(path)
        every = step_of(video, self.most)
        started = time.monotonic()
        total = max(int(video.seconds * video.fps) // every, 1)
        clip = watch(
            video, self._people(), every=every, progress=lambda done: say(min(done, total), total, started)
        )
        number = choose_person(clip, self.person)
        print(f"person {number} of {len(clip.ids)}; every {every}. frame")
        return write_person(file, fit_person(clip, number, video, every=every))

    def _people(self) -> Any:
        """A new estimator of people, without hands and faces unless they are asked for."""
        from contrapposto.systems.scail_pose.estimators.choice import make_estimator

        return make_estimator(**{"hands": False, "face": False, **self.estimator})

    def _scene_of_views(self, config: DictConfig, folder: Path, output: Path) -> AvatarScene:
        """Of several videos with calibrated cameras."""
        from contrapposto.systems.anerf.data.from_video import step_of, watch
        from contrapposto.systems.anerf.data.from_views import (
            fit_person_views,
            read_cameras,
            write_world_person,
        )
        from contrapposto.systems.anerf.data.view_people import match_people

        poses = Path(config.poses) if config.poses else output / "poses.npz"
        if not config.poses:
            cameras = [camera for camera in read_cameras(folder) if camera.name != self.held_out_camera]
            every = max(step_of(camera.video, self.most // len(cameras)) for camera in cameras)
            clips = []
            for camera in cameras:
                clips.append(watch(camera.video, self._people(), every=every))
                print(f"{camera.name}: {len(clips[-1].ids)} people; every {every}. frame", flush=True)
            numbers = match_people(cameras, clips, self.person)
            people = zip(cameras, numbers)
            print("person: " + ", ".join(f"{number} of {camera.name}" for camera, number in people))
            write_world_person(poses, fit_person_views(cameras, clips, numbers, every=every))
        report = prepare_avatar(
            "anerf_views",
            output=output / "scene",
            raw=folder,
            poses=str(poses),
            masks=config.masks,
            held_out_camera=self.held_out_camera,
            **{name: value for name, value in self.scene_options.items() if name != "held_out"},
        )
        print(report.summary())
        return report.scene

    def _train(self, scene: AvatarScene, output: Path) -> Subject:
        options = TrainingOptions(
            weights=self.weights,
            refinement=Refinement() if self.refine else None,
            threads=torch.get_num_threads(),
        )
        started = time.monotonic()
        images = scene.split("train")
        sampler = ImageSampler(scene, ImageOptions(), seed=self.seed, images=images)
        if hidden := sampler.left_out:
            print(f"{hidden} of {len(images)} images are not learnt from: their masks do not show the person")

        def progress(step: int, subject: Subject, shown: Shown) -> None:
            if step % 50 == 0 or step == self.steps:
                say(step, self.steps, started)
            if step % self.preview == 0 or step == self.steps:
                write_preview(output / "preview.png", scene, subject)
                if step == self.preview:
                    print(f"preview, which is updated: {output / 'preview.png'}", flush=True)

        return fit_avatar(
            scene,
            steps=self.steps,
            gaussians=self.gaussians,
            options=options,
            sampler=sampler,
            progress=progress,
        )

    def _write(self, subject: Subject, scene: AvatarScene, folder: Path, psnr: float) -> Path:
        """A folder that `Avatar.from_pretrained` reads."""
        file = folder / "checkpoints" / "best.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        state = {f"subject.{name}": value.detach() for name, value in subject.state_dict().items()}
        data = {key: scene.manifest[key] for key in ("source", "licence", "attribution")}
        save_portable(file, {"state_dict": state, "hyper_parameters": {}, "provenance": {"data": data}})
        store = str(scene.path.absolute())
        config = {
            "name": "anerf_splat",
            "data": {"name": scene.path.name, "store": store, "train_split": "train"},
        }
        with atomic_path(folder / "config.yaml") as temporary:
            temporary.write_text(OmegaConf.to_yaml({**config, "paths": {}}), encoding="utf-8")
        write_json(
            folder / "result.json",
            {
                "model": "anerf_splat",
                "experiment": None,
                "data": {"name": scene.path.name, **data},
                "checkpoint": "checkpoints/best.safetensors",
                "checkpoint_sha256": sha256(file),
                "monitor": "psnr of held-out images",
                "mode": "max",
                "score": psnr,
            },
        )
        return folder


@torch.no_grad()
def drawn(scene: AvatarScene, subject: Subject, image: int) -> np.ndarray:
    """(H, W, 3) uint8: the avatar in the place of the person in an image of the scene."""
    pose, camera = scene.pose_index(image), scene.camera_index(image)
    bones = torch.from_numpy(np.array(scene.skts[pose]))
    if subject.poses is not None:
        bones = subject.poses.posed(torch.tensor([pose])).world_to_bone[0]
    parts = (torch.from_numpy(np.array(x[camera])) for x in (scene.c2ws, scene.focals, scene.centers))
    matrix, focal, centre = parts
    frame = SplatRenderer(subject.avatar)(bones, View(matrix, focal, *scene.hw, centre))
    background = torch.from_numpy(np.array(scene.background(image))).float() / 255
    return (frame.over(background) * 255).round().byte().numpy()


def write_preview(path: Path, scene: AvatarScene, subject: Subject, count: int = 4) -> Path:
    """Images above, the avatar below."""
    from contrapposto.render import write_png

    images = scene.split("train")
    chosen = images[np.linspace(0, len(images) - 1, count).astype(int)]
    columns = [
        np.concatenate([clean_image(scene, int(image)), drawn(scene, subject, int(image))])
        for image in chosen
    ]
    write_png(path, np.concatenate(columns, axis=1))
    return path


def held_out_psnr(scene: AvatarScene, subject: Subject) -> float:
    """Mean PSNR in the mask grown to its rectangle, dB, over at most 20 held-out images (else learnt ones)."""
    held: Sequence[str] = [name for name in ("novel_view", "novel_pose", "val") if name in scene.splits]
    images = np.concatenate([scene.split(name) for name in held or ["train"]])
    images = images[np.linspace(0, len(images) - 1, min(len(images), 20)).astype(int)]
    values = []
    for image in images:
        rows, columns = np.nonzero(scene.mask(int(image)))
        if len(rows):
            part = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            pair = (
                x[part].astype(np.float64) / 255
                for x in (clean_image(scene, int(image)), drawn(scene, subject, int(image)))
            )
            true, shown = pair
            values.append(-10 * np.log10(np.square(true - shown).mean() + 1e-12))
    return float(np.mean(values))
