"""What happens to a model's outputs by default is the same in evaluate.py and predict.py."""

from omegaconf import OmegaConf

from cli.compose import compose_config
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.tasks.predict import compose
from contrapposto.tasks.sage import with_settings


def task(name):
    return OmegaConf.to_container(compose([f"task={name}"]).task)


def evaluation(model):
    config = compose_config("evaluate", [f"model={model}"])
    return {name: OmegaConf.to_container(config[name], resolve=False) for name in ("module", "callbacks")}


def test_sage_finishes_as_its_model_states():
    for model in ("tracker", "sage_refiner", "sage_student", "sparse_transformer"):
        measured = Finishing.of(evaluation(model)["module"])
        options = task("sage_track")
        used = with_settings(measured, *(options[name] for name in ("smooth", "reach", "plant", "floor")))
        assert used == measured, model
    assert Finishing.of(evaluation("tracker")["module"]) == Finishing()


def test_posegpt_cleans_samples_up_before_they_are_judged():
    options = task("posegpt_sample")
    used = Cleanup(**{name: options[name] for name in ("smooth", "ground", "flight", "plant_feet")})
    assert used == Cleanup(**evaluation("posegpt_gpt")["callbacks"]["generation"]["sources"]["cleanup"])
    drawn = evaluation("posegpt_gpt")["callbacks"]["generation"]["sources"]
    assert all(drawn[name] == options[name] for name in ("temperature", "top_k", "top_p"))


def test_npr_is_judged_as_it_transfers():
    transfer, judged = task("npr_transfer"), task("npr_evaluate")
    assert all(transfer[name] == judged[name] for name in ("align", "rigid", "rest_correction"))


def test_scail_pose_repairs_what_it_measures():
    measured = {k: v for k, v in evaluation("scail_pose")["module"]["clean"].items() if k != "_target_"}
    assert Clean(**task("scail_pose")["module"]["clean"]) == Clean(**measured)
    estimator = task("scail_pose")["module"]["estimator"]
    for name, value in evaluation("scail_pose")["module"]["estimator"].items():
        assert name.startswith("_") or estimator[name] == value, name
