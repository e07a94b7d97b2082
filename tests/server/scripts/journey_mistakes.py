"""What the newest client is told when it is mistaken: the code of each error, and where it helps, its text."""

import mlflow
from journey_checks import check, client, code, differs, equal, experiment, message, named
from mlflow.entities import Metric, Param

MISSING, INVALID, EXISTS = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"
NOBODY = "f" * 32


def compare(calls):
    """Compare the codes of calls with what they must be."""
    found = {name: (code(*call), wanted) for name, (wanted, call) in calls.items()}
    equal({name: codes for name, codes in found.items() if codes[0] != codes[1]}, {})


@check
def experiments():
    made = experiment("mistakes experiments")
    gone = client().create_experiment(named("mistakes gone"))
    client().delete_experiment(gone)
    compare(
        {
            "no such": (MISSING, (mlflow.get_experiment, "987654321")),
            "again": (EXISTS, (mlflow.create_experiment, named("mistakes experiments"))),
            "no name": (INVALID, (mlflow.create_experiment, "")),
            "a long name": (INVALID, (mlflow.create_experiment, "x" * 501)),
            "deleted that is not there": (MISSING, (client().delete_experiment, "987654321")),
            "run in none": (MISSING, (client().create_run, "987654321")),
            "run in a deleted one": (INVALID, (client().create_run, gone)),
            "set to a deleted one": (INVALID, (mlflow.set_experiment, named("mistakes gone"))),
            "tag of none": (MISSING, (client().set_experiment_tag, "987654321", "a", "b")),
            "a bad key": (INVALID, (client().set_experiment_tag, made, "a$", "b")),
            "a bad place": (INVALID, (client().create_experiment, named("mistakes place"), "https://h/a?b=..%2f")),
        }
    )


@differs("a name that is taken has its own code, as where an experiment is made; MLflow's is BAD_REQUEST")
def experiments_renamed_to_one_that_is_there():
    made = experiment("mistakes renamed")
    equal(code(client().rename_experiment, made, "Default"), EXISTS)


@check
def runs():
    made = experiment("mistakes runs")
    run, gone = (client().create_run(made).info.run_id for _ in range(2))
    client().delete_run(gone)
    compare(
        {
            "no such": (MISSING, (mlflow.get_run, NOBODY)),
            "deleted that is not there": (MISSING, (mlflow.delete_run, NOBODY)),
            "restored that is not there": (MISSING, (client().restore_run, NOBODY)),
            "metric of none": (MISSING, (client().log_metric, NOBODY, "a", 1)),
            "param of none": (MISSING, (client().log_param, NOBODY, "a", 1)),
            "tag of none": (MISSING, (client().set_tag, NOBODY, "a", 1)),
            "batch of none": (MISSING, (client().log_batch, NOBODY, [Metric("a", 1, 1, 1)])),
            "end of none": (MISSING, (client().set_terminated, NOBODY)),
            "metric of a deleted one": (INVALID, (client().log_metric, gone, "a", 1)),
            "param of a deleted one": (INVALID, (client().log_param, gone, "a", 1)),
            "tag of a deleted one": (INVALID, (client().set_tag, gone, "a", 1)),
            "batch of a deleted one": (INVALID, (client().log_batch, gone, [Metric("a", 1, 1, 1)])),
            "resumed that is deleted": ("INTERNAL_ERROR", (mlflow.start_run, gone)),  # the client's own
            "resumed that is not there": (MISSING, (mlflow.start_run, NOBODY)),
            "no such tag": (MISSING, (client().delete_tag, run, "nope")),
            "artifact of none": (MISSING, (client().list_artifacts, NOBODY)),
        }
    )


@check
def values():
    run = client().create_run(experiment("mistakes values")).info.run_id
    client().log_param(run, "p", "1")
    compare(
        {
            "a param that changes": (INVALID, (client().log_param, run, "p", "2")),
            "a param twice in a batch": (INVALID, (client().log_batch, run, [], [Param("x", "1"), Param("x", "1")])),
            "a metric's key": (INVALID, (client().log_metric, run, "a*b", 1)),
            "a param's key": (INVALID, (client().log_param, run, "a=b", 1)),
            "a tag's key": (INVALID, (client().set_tag, run, "a@b", 1)),
            "a key that goes up": (INVALID, (client().log_metric, run, "../a", 1)),
            "a key that is a path": (INVALID, (client().log_param, run, "/a", 1)),
            "no key": (INVALID, (client().log_param, run, "", 1)),
            "a long key": (INVALID, (client().log_metric, run, "x" * 251, 1)),
            "a time before all": (INVALID, (client().log_metric, run, "a", 1, -5)),
        }
    )
    equal((client().get_run(run).data.metrics, client().get_run(run).data.params), ({}, {"p": "1"}))


@check
def searches():
    made = experiment("mistakes searches")
    client().create_run(made)
    compare(
        {
            text: (INVALID, (client().search_runs, [made], text))
            for text in (
                "metrics.m = '1'",
                "params.p = 1",
                "params.p >= '1'",
                "tags.t < 'x'",
                "attributes.nope = 'x'",
                "attributes.start_time LIKE '1'",
                "attributes.run_id IN ('a', 1)",
                "foo.bar = 'x'",
                "metrics.m",
                "m > ",
                "'x' = 'x'",
            )
        }
    )
    compare(
        {
            "order": (INVALID, (client().search_runs, [made], "", 1, 10, ["foo.bar"])),
            "direction": (INVALID, (client().search_runs, [made], "", 1, 10, ["metrics.m SIDEWAYS"])),
            "page": (INVALID, (client().search_runs, [made], "", 1, 50_001)),
            "token": (INVALID, (client().search_runs, [made], "", 1, 10, None, "nonsense")),
            "experiments": (INVALID, (client().search_experiments, 1, 10, "metrics.m = 1")),
            "order of experiments": (INVALID, (client().search_experiments, 1, 10, None, ["nope"])),
            "page of experiments": (INVALID, (client().search_experiments, 1, 50_001)),
            "token of experiments": (INVALID, (client().search_experiments, 1, 10, None, None, "nonsense")),
            "models": (INVALID, (client().search_registered_models, "nope = 'x'")),
            "page of models": (INVALID, (client().search_registered_models, None, 1_001)),
            "versions": (INVALID, (client().search_model_versions, "nope = 'x'")),
            "order of versions": (INVALID, (client().search_model_versions, None, 10, ["nope"])),
        }
    )


@check
def models():
    name = named("mistakes models")
    client().create_registered_model(name)
    client().create_model_version(name, "s3://b/m")
    compare(
        {
            "again": (EXISTS, (client().create_registered_model, name)),
            "no name": (INVALID, (client().create_registered_model, "")),
            "a slash": (INVALID, (client().create_registered_model, "a/b")),
            "no such": (MISSING, (client().get_registered_model, "nope")),
            "no such version": (MISSING, (client().get_model_version, name, "9")),
            "version of none": (MISSING, (client().create_model_version, "nope", "s3://b/m")),
            "a version that is no number": (INVALID, (client().get_model_version, name, "one")),
            "no such alias": (INVALID, (client().get_model_version_by_alias, name, "nope")),
            "alias of no version": (MISSING, (client().set_registered_model_alias, name, "a", "9")),
            "alias like a version": (INVALID, (client().set_registered_model_alias, name, "v1", "1")),
            "the alias latest": (INVALID, (client().set_registered_model_alias, name, "Latest", "1")),
            "no such stage": (INVALID, (client().transition_model_version_stage, name, "1", "nope")),
            "renamed that is not there": (MISSING, (client().rename_registered_model, "nope", "other")),
            "deleted that is not there": (MISSING, (client().delete_registered_model, "nope")),
            "a file of the server": (INVALID, (client().create_model_version, name, "file:///etc")),
            "no such logged model": (MISSING, (client().get_logged_model, "m-" + "0" * 32)),
            "a logged model of none": (MISSING, (client().create_logged_model, "987654321")),
        }
    )


@check
def texts_say_what_was_wrong():
    made = experiment("mistakes texts")
    run = client().create_run(made).info.run_id
    client().log_param(run, "k", "a")
    said = message(client().log_param, run, "k", "b")
    assert "Changing param values is not allowed" in said, said
    equal(["'k'" in said, "'a'" in said, "'b'" in said], [True] * 3)
    assert f"Run with id={NOBODY} not found" in message(client().get_run, NOBODY)
    assert "No Experiment with id=987654321 exists" in message(client().get_experiment, "987654321")
    assert "already exists" in message(client().create_experiment, named("mistakes texts"))
    assert "Registered Model with name=nope not found" in message(client().get_registered_model, "nope")
    said = message(client().search_runs, [made], "attributes.nope = 'x'")
    assert "nope" in said, said
    assert "run_name" in said, said
