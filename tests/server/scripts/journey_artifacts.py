"""Files of runs, by every client since 2.0."""

from pathlib import Path

import mlflow
from journey_checks import check, client, differs, equal, experiment, message


@check
def a_file_and_a_folder_are_logged_listed_and_downloaded():
    experiment("core artifacts")
    folder = Path("core-files")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "er" / "b.bin").write_bytes(bytes(range(256)) * 300)
    (folder / "empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(folder / "a.txt"))
        mlflow.log_artifact(str(folder / "a.txt"), "below/it")
        mlflow.log_artifacts(str(folder), "all")

    def listed(path=None):
        found = client().list_artifacts(run.info.run_id, path)
        return [(one.path, one.is_dir, one.file_size or 0) for one in found]

    equal(listed(), [("a.txt", False, 1), ("all", True, 0), ("below", True, 0)])
    equal(listed("all"), [("all/a.txt", False, 1), ("all/deep", True, 0), ("all/empty", False, 0)])
    equal(listed("all/deep/er"), [("all/deep/er/b.bin", False, 76800)])
    equal((listed("nope"), listed("a.txt")), ([], []))
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="all", dst_path="core-got"))
    equal(
        sorted(str(one.relative_to(got)) for one in got.rglob("*") if one.is_file()),
        ["a.txt", "deep/er/b.bin", "empty"],
    )
    equal((got / "deep/er/b.bin").read_bytes(), (folder / "deep/er/b.bin").read_bytes())
    whole = Path(client().download_artifacts(run.info.run_id, ""))
    equal((whole / "below/it/a.txt").read_text(), "a")


@check
def text_and_dictionaries_are_logged_and_loaded():
    experiment("core artifacts")
    with mlflow.start_run():
        mlflow.log_text("Zoë\nsaid <b>", "notes/it.txt")
        mlflow.log_dict({"a": [1, 2.5, None], "ü": "é"}, "d.json")
        mlflow.log_dict({"a": {"b": 1}}, "d.yaml")
        root = mlflow.get_artifact_uri()
        equal(mlflow.get_artifact_uri("notes/it.txt"), f"{root}/notes/it.txt")
    equal(mlflow.artifacts.load_text(f"{root}/notes/it.txt"), "Zoë\nsaid <b>")
    equal(mlflow.artifacts.load_dict(f"{root}/d.json"), {"a": [1, 2.5, None], "ü": "é"})
    assert "b: 1" in mlflow.artifacts.load_text(f"{root}/d.yaml")


@check
def figures_and_images_are_logged_and_loaded():
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    experiment("core artifacts")
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    with mlflow.start_run():
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_image(np.full((4, 6, 3), 200, dtype=np.uint8), "pixels.png")
        root = mlflow.get_artifact_uri()
    equal(mlflow.artifacts.load_image(f"{root}/pixels.png").size, (6, 4))
    equal(mlflow.artifacts.load_image(f"{root}/plots/line.png").format, "PNG")


@check
def a_file_is_replaced():
    experiment("core artifacts")
    with mlflow.start_run() as run:
        mlflow.log_text("a long first text", "x.txt")
        mlflow.log_text("short", "x.txt")
        equal(mlflow.artifacts.load_text(mlflow.get_artifact_uri("x.txt")), "short")
    equal([one.file_size for one in client().list_artifacts(run.info.run_id)], [5])


@check
def what_is_not_there_is_not_downloaded():
    experiment("core artifacts")
    with mlflow.start_run() as run:
        pass
    said = message(client().download_artifacts, run.info.run_id, "nope.txt")
    assert "nope.txt" in said or "404" in said, said


@check
def files_have_odd_names():
    names = [
        "a b.txt",
        "100%.txt",
        "a+b.txt",
        "ünï 日本.txt",
        ".hidden",
        "..two dots",
        "semi;colon,comma.txt",
        "am&per=sand.txt",
        "(brackets) [square] {curly}.txt",
        "it's @ ~ $1 !.txt",
        "name.with.many.dots..txt",
        "no-extension",
        "emoji 🎈.bin",
    ]
    experiment("artifacts odd")
    folder = Path("odd-files")
    (folder / "of a + folder %").mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
        (folder / "of a + folder %" / name).write_text(f"deep {name}")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "odd")
    listed = client().list_artifacts(run.info.run_id, "odd")
    equal(sorted(one.path for one in listed), sorted(f"odd/{name}" for name in [*names, "of a + folder %"]))
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="odd"))
    equal({name: (got / name).read_text() for name in names}, {name: name for name in names})
    deep = got / "of a + folder %"
    equal({name: (deep / name).read_text() for name in names}, {name: f"deep {name}" for name in names})


@check
def a_hash_and_an_escape_in_a_name_are_lost_by_the_client():
    experiment("artifacts odd")
    with mlflow.start_run() as run:
        mlflow.log_text("cut", "c#1.txt")  # what follows # is never sent
        mlflow.log_text("read", "50%25 off.txt")
    equal([one.path for one in client().list_artifacts(run.info.run_id)], ["50% off.txt", "c"])


@differs("a question mark belongs to the name: nothing is asked of a file that is stored")
def a_question_mark_belongs_to_a_name():
    experiment("artifacts odd")
    with mlflow.start_run() as run:
        mlflow.log_text("why", "why?.txt")
        mlflow.log_text("what", "what?=1&a.txt")
    equal([one.path for one in client().list_artifacts(run.info.run_id)], ["what?=1&a.txt", "why?.txt"])
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id))
    equal({one.name: one.read_text() for one in got.iterdir()}, {"why?.txt": "why", "what?=1&a.txt": "what"})


@check
def one_file_with_an_odd_name_is_downloaded_by_itself():
    experiment("artifacts odd")
    with mlflow.start_run() as run:
        for name in ("a b.txt", "ünï 日本.txt", "a+b.txt", ".hidden", "x/c (1).txt"):
            mlflow.log_text(name, name)
            got = client().download_artifacts(run.info.run_id, name)
            equal(Path(got).read_text(), name)


@check
def large_files_arrive_whole():
    experiment("artifacts large")
    path = Path("large.bin")
    path.write_bytes(bytes(range(251)) * 60_000)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(path))
    got = client().download_artifacts(run.info.run_id, "large.bin")
    equal(Path(got).read_bytes() == path.read_bytes(), True)


@check
def a_file_cannot_leave_its_run():
    experiment("artifacts bad")
    with mlflow.start_run() as run:
        for name in ("../out.txt", "/tmp/out.txt", "a/../../out.txt"):
            message(mlflow.log_text, "x", name)
    equal(client().list_artifacts(run.info.run_id), [])
