"""A store in which every place that a user can fill holds script, and the addresses of all pages that show it."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from server import Server

import toolkit
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.flows.published_graph import Published, PublishedDeployment, PublishedParameter, publish
from toolkit.flows.recorded_graph import GRAPH, PlannedStep
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Author
from toolkit.registry.promotion import NewRequest, Policy, Target
from toolkit.registry.records import NewVersion, Stage
from toolkit.tracking.logged_models import ModelStatus, NewLoggedModel
from toolkit.tracking.records import Dataset, DatasetInput, Metric, NewRun, RunStatus
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.serving import open_deployment_store

MARK = "planted_script_ran"
"""What a script that runs sets on the window."""

MODEL, RUN, STEP, FAILED, WORKFLOW = "bad", "b" * 32, "5" * 32, "f" * 32, "e" * 32
DEPLOYMENT = "live"


def bad(place: str, *, slash: bool = True, longest: int = 100_000) -> str:
    """Return text that runs script where it is not escaped: as HTML, in an attribute, in a script, in a template.

    Args:
        place: Where it stands: what runs says so.
        slash: Whether it may have a slash.
        longest: How many characters it may have.
    """
    run = f"{MARK}=1"
    text = f"<img src=x onerror={run}>\"'><svg onload={run}>{{{{7*7}}}}${{7*7}}`"
    if slash:
        text += f"</script><script>{run}</script><iframe src=javascript:{run}></iframe>"
    return (f"{place} {text}" if len(text) + len(place) < longest else f"<img src=x onerror={run}>")[:longest]


_LINK = f"javascript:window.{MARK}='link'"


@dataclass(frozen=True)
class Planted:
    """What there is.

    Attributes:
        server: The server.
        experiment: The experiment whose name is script.
        files: The artifacts of its run.
        step: The name of the workflow's step.
        request: The number of an open request.
        made: The deployment's id.
    """

    server: Server
    experiment: str
    files: Sequence[str]
    step: str
    request: int
    made: str


def _now() -> int:
    return time.time_ns() // 1_000_000


def plant(server: Server) -> Planted:
    """Fill every place."""
    runs = server.stores.runs
    experiment = runs.create_experiment(bad("experiment name", slash=False)).experiment_id
    tags = {
        "mlflow.note.content": bad("experiment note") + f"\n\n[x]({_LINK}) <{_LINK}> ![x]({_LINK})",
        "team": bad("experiment tag"),
        "toolkit.primary_metric": "loss",
        f"toolkit.view.{bad('view')[:90]}": urlencode({"q": "metrics.loss < 1", "cols": "t:t"}),
    }
    for key, value in tags.items():
        _try(lambda key=key, value=value: runs.update_experiment(experiment, tags={key: value}))  # type: ignore[misc]
    _run(server, experiment, RUN)
    runs.create_run(_new(experiment, FAILED, "failed"))
    runs.update_run(FAILED, status=RunStatus.FAILED, end_time=_now(), reason=bad("reason")[:900])
    step = _workflow(server, experiment)
    files = _files(server)
    request = _models(server, experiment)
    made = _deployment(server)
    return Planted(server, experiment, files, step, request, made)


def _try(plant_it: Callable[[], object]) -> None:
    """Plant something, unless the store has a rule against it."""
    try:
        plant_it()
    except toolkit.errors.ToolkitError:
        return


def _new(experiment: str, run_id: str, name: str, **more: object) -> NewRun:
    given: dict[str, object] = {"tags": {}, "params": {}, **more}
    return NewRun(
        experiment_id=experiment,
        run_id=run_id,
        run_name=bad(f"{name} run name", longest=240),
        user_id=bad("user", longest=240),
        start_time=_now(),
        **given,  # type: ignore[arg-type]  # some of its fields
    )


def _run(server: Server, experiment: str, run_id: str) -> None:
    runs = server.stores.runs
    names = (
        "mlflow.source.name mlflow.source.git.commit mlflow.source.git.branch mlflow.source.git.repoURL mlflow.user "
        "mlflow.project.entryPoint mlflow.project.env toolkit.host toolkit.python toolkit.command toolkit.resumed_from "
        "toolkit.cached_from toolkit.attempt toolkit.colour toolkit.color toolkit.diff toolkit.platform "
        "prefect.task_run_id team t"
    ).split()
    tags = {name: bad(name) for name in names}
    tags |= {
        "mlflow.note.content": f"# {bad('note')}\n\n[x]({_LINK})\n\n<{_LINK}>\n\n| {bad('cell')} |\n|---|\n| x |\n",
        "prefect.flow_run_url": _LINK,
        "prefect.flow_run_id": bad("flow run", longest=200),
        "mlflow.log-model.history": json.dumps([{"artifact_path": bad("model path")}]),
    }
    runs.create_run(_new(experiment, run_id, "first", tags=tags, params={"p": bad("param"), "lr": "0.1"}))
    for key in (bad("key", longest=200), "t' onmouseover=x"):
        _try(lambda key=key: runs.log_batch(run_id, tags={key: "x"}))  # type: ignore[misc]
        _try(lambda key=key: runs.log_batch(run_id, params={key: "x"}))  # type: ignore[misc]
        _try(lambda key=key: runs.log_batch(run_id, metrics=[Metric(key=key, value=1, timestamp=1)]))  # type: ignore[misc]
    points = [Metric(key="loss", value=math.exp(-i / 5), timestamp=_now(), step=i) for i in range(40)]
    runs.log_batch(run_id, metrics=[*points, Metric(key="system/cpu", value=1.0, timestamp=1)])
    data = Dataset(
        name=bad("dataset", longest=400),
        digest="<b>d</b>",
        source_type=bad("source type", longest=30),
        source=json.dumps({"uri": _LINK, "path": bad("source")}),
        schema=json.dumps({"mlflow_colspec": [{"name": bad("column"), "type": "long"}]}),
        profile=json.dumps({bad("profile"): bad("rows")}),
    )
    _try(lambda: runs.log_inputs(run_id, [DatasetInput(dataset=data, tags={"mlflow.data.context": bad("context")})]))


def _workflow(server: Server, experiment: str) -> str:
    runs = server.stores.runs
    step = bad("step", slash=False, longest=200)
    steps = [
        {"name": "prepare", "entry_point": bad("entry point")},
        {"name": step, "needs": {"prepare": [bad("output")]}, "when": bad("when"), "foreach": [bad("foreach")]},
    ]
    tags = {
        "toolkit.workflow": bad("workflow", longest=400),
        "prefect.flow_run_id": "1",
        "prefect.flow_run_url": _LINK,
        GRAPH: json.dumps({"schema": 1, "steps": steps}),
    }
    runs.create_run(_new(experiment, WORKFLOW, "workflow", tags=tags))
    of_step = {"toolkit.step": step, "prefect.task_run_id": bad("task"), "toolkit.attempt": "1"}
    runs.create_run(_new(experiment, STEP, "step", tags=of_step, params={"a": bad("item")}, parent_run_id=WORKFLOW))
    runs.update_run(STEP, status=RunStatus.FAILED, end_time=_now(), reason=bad("reason of a step")[:900])
    _declared(server, experiment, step)
    return step


PUBLISHED = bad("published", slash=False)


def _declared(server: Server, experiment: str, step: str) -> None:
    runs = server.stores.runs
    declared = Published(
        name=PUBLISHED,
        steps=[
            PlannedStep(name="first", entry_point=bad("entry")),
            PlannedStep(name=step, needs={"first": [bad("taken")]}, when=bad("condition"), foreach=[bad("each")]),
        ],
        description=bad("what a workflow is for"),
        parameters={
            bad("parameter"): PublishedParameter(type=bad("type"), default=bad("default"), description=bad("x"))
        },
        uri=_LINK,
        code=bad("code"),
        user=bad("publisher"),
        time=_now(),
    )
    deployment = PublishedDeployment(
        id=bad("id"),
        name=bad("deployment"),
        schedule=bad("schedule"),
        timezone=bad("zone"),
        pool=bad("pool"),
        url=_LINK,
    )
    publish(runs, runs.get_experiment(experiment), declared, deployment)


def _notebook() -> str:
    page = bad("notebook")
    outputs = [
        {"output_type": "display_data", "data": {"text/html": page, "image/svg+xml": page, "text/plain": page}},
        {"output_type": "stream", "text": [page]},
        {"output_type": "error", "ename": page, "evalue": page, "traceback": [page]},
    ]
    cells = [
        {"cell_type": "markdown", "source": [f"# {page}\n[x]({_LINK})"]},
        {"cell_type": "code", "source": page, "outputs": outputs},
    ]
    return json.dumps({"cells": cells, "nbformat": 4, "metadata": {"language_info": {"name": page}}})


_PDF = f"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\); window.{MARK}=1)>>>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj
trailer<</Root 1 0 R>>
"""


def _files(server: Server) -> Sequence[str]:
    """Log a file of each kind, each of them hostile, as a client does; return their paths."""
    page = f'<!doctype html><html><body onload="window.{MARK}=1;parent.{MARK}=1">{bad("page")}</body></html>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" onload="parent.{MARK}=1"><script>parent.{MARK}=1</script></svg>'
    table = io.StringIO()
    table.write(f'"{bad("column").replace(chr(34), chr(34) * 2)}",b\n"{bad("cell").replace(chr(34), "")}",2\n')
    texts = {
        "page.html": page,
        "page.htm": page,
        "page.xhtml": page,
        "picture.svg": picture,
        "read.md": bad("markdown") + f"\n\n[x]({_LINK}) ![x]({_LINK}) <{_LINK}>\n\n```{bad('fence')}\n{page}\n```\n",
        "book.ipynb": _notebook(),
        "data.json": json.dumps({bad("json key"): bad("json")}),
        "wrong.json": bad("broken json"),
        "table.csv": table.getvalue(),
        "table.tsv": table.getvalue().replace(",", "\t"),
        "code.py": f"# {bad('code')}\nx = 1\n",
        "conf.yaml": f"a: {bad('yaml')}\n",
        "doc.pdf": _PDF,
        "plain.txt": bad("text"),
        "feed.xml": f"<?xml version='1.0'?>{picture}",
        "logs/output.log": _log(),
        "model/MLmodel": _mlmodel(),
        "model/requirements.txt": f"a\n# {bad('requirement')}\n",
        "model/input_example.json": json.dumps({"columns": [bad("example column")], "data": [[bad("example")]]}),
        "model/serving_input_example.json": json.dumps({"inputs": [bad("request")]}),
        f"{bad('folder', slash=False, longest=120)}/{bad('file', slash=False, longest=120)}.html": page,
        "plots/fake.png": page,
        "plots/fake.json": page,
    }
    client = toolkit.Client(tracking_uri=f"sqlite:///{server.home / 'toolkit.db'}")
    planted = []
    for path, text in texts.items():
        client.log_text(RUN, text, path)
        planted.append(path)
    for run_id in (STEP, FAILED):
        client.log_text(run_id, f"{bad('log of a run that failed')}\n", "logs/output.log")
    return planted


def _log() -> str:
    link = f"\x1b]8;;{_LINK}\x07click\x1b]8;;\x07"
    return f"{bad('log')}\n\x1b[31m{bad('red')}\x1b[0m {link}\n10%\r{bad('bar')}\n"


def _mlmodel() -> str:
    column = json.dumps([{"name": bad("input"), "type": "double", "required": True}])
    told = {
        "artifact_path": bad("artifact path"),
        "flavors": {bad("flavor"): {"x": bad("flavor value")}, "python_function": {"loader_module": "x"}},
        "model_id": bad("model id"),
        "run_id": RUN,
        "signature": {"inputs": column, "outputs": column, "params": None},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
        "utc_time_created": bad("created"),
        "mlflow_version": bad("version"),
    }
    return json.dumps(told)


def _models(server: Server, experiment: str) -> int:
    """Fill models; return the number of an open request."""
    catalog = open_catalog(server.stores, pickles=False)
    logged = catalog.logged.create_model(
        NewLoggedModel(
            model_id="m-" + "a" * 32,
            experiment_id=experiment,
            name=f"<img src=x onerror={MARK}=1><svg onload={MARK}=1>",
            model_type=bad("model type", longest=400),
            source_run_id=RUN,
            params={"p": bad("model param")},
            tags={"t": bad("model tag")},
        )
    )
    _try(lambda: catalog.logged.finish_model(logged.model_id, ModelStatus.READY, bad("message", longest=200)))
    who = catalog.acting(Author(user=bad("actor", longest=200), reason=bad("why", longest=400)))
    hostile = bad("registered", slash=False, longest=200).replace(":", "")
    location = f"{server.stores.runs.get_run(RUN).info.artifact_uri}/model"
    for name in (MODEL, hostile):
        who.registered.create_model(name, description=bad("description"), tags={"t": bad("tag of a model")})
        for number in (1, 2):
            new = NewVersion(
                name=name,
                source=bad("source", longest=400),
                location=location,
                run_id=RUN,
                run_link=_LINK,
                model_id=logged.model_id if number == 2 else None,
                user_id=bad("registrar", longest=200),
                description=bad("description of a version"),
                tags={"t": bad("tag of a version")},
            )
            who.registered.create_version(new)
        who.registered.set_alias(name, "champion", 1)
        _try(lambda name=name: who.registered.set_alias(name, bad("alias"), 1))  # type: ignore[misc]
        gate = read_gate(f"tag t = {bad('gate', slash=False, longest=200)}")
        rules = [
            Policy(target=Target.read("Production"), approvals=1),
            Policy(target=Target.read("@canary"), gates=(gate,)),
        ]
        who.promotions.set_policies(name, rules)
        who.registered.set_stage(name, 1, Stage.STAGING)
    other = who.promotions.request(NewRequest(name=hostile, version=1, target=Target.read("Production")))
    _try(lambda: who.promotions.reject(other.id))
    return who.promotions.request(NewRequest(name=MODEL, version=1, target=Target.read("Production"))).id


def _deployment(server: Server) -> str:
    store = open_deployment_store(server.stores).acting(Author(user=bad("deployer", longest=100), reason="x"))
    made = store.create(
        Deployment(
            id="",
            name=DEPLOYMENT,
            target="local",
            state=DeploymentState.CREATING,
            follow_alias=f"{MODEL}@champion",
            host=bad("host", longest=200),
            created_by=bad("creator", longest=200),
            message=bad("message of a deployment"),
        )
    )
    for name in (bad("deployment", slash=False, longest=100), "<b>x</b>"):
        _try(lambda name=name: store.create(Deployment(id="", name=name, target="local", state=DeploymentState.FAILED)))  # type: ignore[misc]
    for version in (1, 2):
        begun = store.begin_release(
            Release(
                deployment_id=made.id,
                number=0,
                model=MODEL,
                version=version,
                run_id=RUN,
                bento=f"{MODEL}:{version}",
                created_by=bad("releaser", longest=200),
                why=bad("reason of a release", longest=400),
            )
        )
        state = ReleaseState.SERVING if version == 1 else ReleaseState.REFUSED
        store.change_release(made.id, begun.number, state=state, message=bad("refusal", longest=400))
    store.change(
        made.id,
        state=DeploymentState.SERVING,
        release=1,
        address=_LINK,
        message=bad("last words", longest=400),
    )
    return made.id


def pages(there: Planted) -> Mapping[str, Sequence[str]]:
    """Return addresses to look at for each path of the table of pages: of what is planted, and with hostile queries."""
    e, model, q = there.experiment, quote(MODEL), quote(bad("query"))
    hostile_model = quote(bad("registered", slash=False, longest=200).replace(":", ""), safe="")
    run, version = f"/runs/{RUN}", f"/models/{model}/versions/1"
    step, published = quote(there.step, safe=""), quote(PUBLISHED, safe="")
    filters = f"?q={q}", f"?q={quote('metrics.loss < 2')}&cols=m:loss&cols=s:loss&cols=t:t&cols=p:p&cols=t:mlflow.user"
    return {
        "/": ["/", f"/?theme={q}", f"/?{q}={q}"],
        "/find": [f"/find?q={q}", "/find?q=bad"],
        "/experiments": ["/experiments", f"/experiments?q={q}", f"/experiments?after={q}"],
        "/experiments/{experiment_id}": [
            f"/experiments/{e}",
            *(f"/experiments/{e}{each}" for each in filters),
            f"/experiments/{e}?group=p:p",
            f"/experiments/{e}?sort={q}",
            f"/experiments/{e}?cols={q}",
            f"/experiments/{e}?after={q}&group={q}",
            f"/experiments/{q}",
        ],
        "/experiments/{experiment_id}/count": [f"/experiments/{e}/count?q={q}", f"/experiments/{e}/count"],
        "/experiments/{experiment_id}/columns": [f"/experiments/{e}/columns?find={q}", f"/experiments/{e}/columns"],
        "/experiments/{experiment_id}/children/{run_id}": [f"/experiments/{e}/children/{WORKFLOW}"],
        "/experiments/{experiment_id}/rows": [f"/experiments/{e}/rows", f"/experiments/{e}/rows?q={q}"],
        "/experiments/{experiment_id}/live": [f"/experiments/{e}/live?runs={RUN}&since=0&q={q}"],
        "/experiments/{experiment_id}/fields": [f"/experiments/{e}/fields?q={q}", f"/experiments/{e}/fields"],
        "/experiments/{experiment_id}/why": [f"/experiments/{e}/why?q={q}", f"/experiments/{e}/why"],
        "/runs/{run_id}": [run, f"/runs/{FAILED}", f"/runs/{STEP}", f"/runs/{WORKFLOW}", f"/runs/{q}"],
        "/runs/{run_id}/children": [f"/runs/{WORKFLOW}/children"],
        "/runs/{run_id}/peek": [f"{run}/peek", f"/runs/{WORKFLOW}/peek", f"/runs/{FAILED}/peek", f"/runs/{q}/peek"],
        "/runs/{run_id}/charts": [f"{run}/charts", f"{run}/charts?x={q}&smooth={q}&find={q}"],
        "/runs/{run_id}/system": [f"{run}/system"],
        "/runs/{run_id}/artifacts": [
            f"{run}/artifacts",
            *(f"{run}/artifacts?path={quote(path, safe='')}" for path in there.files),
            f"{run}/artifacts?path={q}",
        ],
        "/runs/{run_id}/logs": [f"{run}/logs", f"{run}/logs?find={q}", f"{run}/logs?find=log", f"/runs/{STEP}/logs"],
        "/runs/{run_id}/pictures": [f"{run}/pictures", f"{run}/pictures?at={q}&size={q}"],
        "/experiments/{experiment_id}/workflows/{name*}": [
            *(
                f"/experiments/{e}/workflows/{published}{each}"
                for each in ("", "?view=table", f"?step={step}", f"?view={q}")
            ),
            f"/experiments/{e}/workflows/{q}",
        ],
        "/runs/{run_id}/lineage": [f"{run}/lineage"],
        "/compare": [
            *(f"/compare?runs={RUN},{FAILED}&tab={tab}" for tab in ("", "charts", "scatter", "parallel", "box", q)),
            f"/compare?runs={q}",
        ],
        "/deployments": ["/deployments", "/deployments?deleted=1"],
        "/deployments/{name}": [f"/deployments/{DEPLOYMENT}", f"/deployments/{q}"],
        "/deployments/{name}/score": [f"/deployments/{DEPLOYMENT}/score", f"/deployments/{q}/score"],
        "/deployments/{name}/releases/{number}": [
            *(f"/deployments/{DEPLOYMENT}/releases/{number}" for number in (1, 2, q))
        ],
        "/workflows": ["/workflows", f"/workflows?name={q}", f"/workflows?status={q}"],
        "/workflows/{run_id}": [
            *(f"/workflows/{WORKFLOW}?view={view}" for view in ("graph", "timeline", "table", q)),
            f"/workflows/{WORKFLOW}?step={step}",
            f"/workflows/{WORKFLOW}?step={q}",
            f"/workflows/{q}",
        ],
        "/models": ["/models", f"/models?q={q}"],
        "/models/{name}": [f"/models/{model}", f"/models/{hostile_model}", f"/models/{q}"],
        "/models/{name}/compare": [f"/models/{model}/compare?versions=1,2", f"/models/{model}/compare?versions={q}"],
        "/models/{name}/rules": [f"/models/{model}/rules"],
        "/models/{name}/history": [f"/models/{model}/history", f"/models/{model}/history?user={q}"],
        "/models/{name}/versions/{version}": [version, f"/models/{model}/versions/2", f"/models/{model}/versions/{q}"],
        "/models/{name}/versions/{version}/gates": [f"{version}/gates", f"{version}/gates?target={q}"],
        "/models/{name}/versions/{version}/contract": [f"{version}/contract"],
        "/models/{name}/versions/{version}/history": [f"{version}/history"],
        "/models/{name}/versions/{version}/use": [f"{version}/use"],
        "/models/{name}/versions/{version}/lineage": [f"{version}/lineage"],
        "/lineage": [f"/lineage?kind=run&id={RUN}", f"/lineage?kind={q}&id={q}"],
    }


def files(there: Planted) -> Mapping[str, Sequence[str]]:
    """Return, for each path of the table that gives files and no pages, addresses."""
    return {
        "/runs/{run_id}/view/{path*}": [f"/runs/{RUN}/view/{quote(path)}" for path in there.files],
        "/runs/{run_id}/logs/more": [f"/runs/{RUN}/logs/more", f"/runs/{RUN}/logs/more?q={quote(bad('query'))}"],
        "/runs/{run_id}/logs/raw": [f"/runs/{RUN}/logs/raw"],
        "/compare/runs.csv": [f"/compare/runs.csv?runs={RUN},{FAILED}"],
        "/find/glance": ["/find/glance?q=bad", "/find/glance?q=img"],
        "/models/{name}/history/export": [
            *(f"/models/{MODEL}/history/export?format={kind}" for kind in ("csv", "json", "html"))
        ],
        "/models/{name}/versions/{version}/history/export": [f"/models/{MODEL}/versions/1/history/export"],
        "/experiments/{experiment_id}/runs.csv": [f"/experiments/{there.experiment}/runs.csv"],
        "/experiments/{experiment_id}/runs.json": [f"/experiments/{there.experiment}/runs.json"],
    }
