"""Files, figures, images and tables: logged, listed, loaded again."""

import io
import json
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from PIL import Image

mlflow.set_experiment("files")
folder = Path(tempfile.mkdtemp())
(folder / "deep").mkdir()
(folder / "deep" / "a.txt").write_text("a")
(folder / "b.txt").write_text("b")

with mlflow.start_run() as run:
    mlflow.log_artifact(str(folder / "b.txt"))
    mlflow.log_artifact(str(folder / "b.txt"), "some/place")
    mlflow.log_artifacts(str(folder), artifact_path="all")
    mlflow.log_text("grüße", "notes/hello.txt")
    mlflow.log_dict({"a": 1, "b": [1, 2]}, "config/conf.json")
    mlflow.log_dict({"a": 1}, "config/conf.yml")
    mlflow.log_stream(io.BytesIO(b"\x00\x01" * 1000), "raw/stream.bin")
    figure, axes = plt.subplots()
    axes.plot([0, 1], [2, 3])
    mlflow.log_figure(figure, "figures/plot.png", save_kwargs={"dpi": 50})
    mlflow.log_figure(figure, "figures/plot.svg")
    plt.close(figure)
    mlflow.log_image(np.zeros((8, 6, 3), dtype=np.uint8), "pictures/black.png")
    mlflow.log_image(np.linspace(0, 1, 48).reshape(8, 6), "pictures/gray.png")
    mlflow.log_image(np.eye(4, dtype=bool), "pictures/mask.png")
    mlflow.log_image(
        Image.new("RGB", (600, 300), "red"), key="dogs/big", step=3, timestamp=1700000000000, synchronous=True
    )
    mlflow.log_image(mlflow.Image(np.full((5, 5), 7)), key="cats", synchronous=True)
    mlflow.log_table({"q": ["a", "b"], "score": [0.5, 1.5]}, "eval/table.json")
    mlflow.log_table(pd.DataFrame({"q": ["c"], "score": [2.5]}), "eval/table.json")
    mlflow.log_table({"q": "one", "n": 1}, "eval/one.parquet")
    uri = mlflow.get_artifact_uri("notes/hello.txt")

mlflow.flush_artifact_async_logging()
run_id = run.info.run_id
client = mlflow.MlflowClient()


def tree(path=None):
    """Return all files below a path."""
    found = []
    for each in client.list_artifacts(run_id, path):
        found += tree(each.path) if each.is_dir else [(each.path, each.file_size)]
    return found


files = dict(tree())
images = sorted(Path(path).name.split("+") for path in files if path.startswith("images/"))
table = mlflow.load_table("eval/table.json", run_ids=[run_id], extra_columns=["run_id"])
copied = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="all", dst_path=tempfile.mkdtemp()))
small = next(path for path in files if path.endswith(".webp") and "dogs" in path)
print(
    json.dumps(
        {
            "files": sorted(path for path in files if not path.startswith("images/")),
            "size": files["raw/stream.bin"],
            "images": [[each[0], each[1:5], len(each)] for each in images if each[0] == "dogs~big"],
            "small": mlflow.artifacts.load_image(f"runs:/{run_id}/{small}").size,
            "top": [(each.path, each.is_dir) for each in mlflow.artifacts.list_artifacts(run_id=run_id)],
            "text": mlflow.artifacts.load_text(uri),
            "dict": mlflow.artifacts.load_dict(f"runs:/{run_id}/config/conf.json"),
            "pixel": mlflow.artifacts.load_image(f"{run.info.artifact_uri}/pictures/gray.png").getpixel((5, 7)),
            "mask": np.asarray(mlflow.artifacts.load_image(f"runs:/{run_id}/pictures/mask.png")).tolist(),
            "table": table[["q", "score"]].to_dict("list"),
            "told": (table["run_id"] == run_id).all().item(),
            "one": mlflow.load_table("eval/one.parquet").to_dict("list"),
            "copied": sorted(path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()),
            "tags": {
                key: json.loads(value.lower())
                for key, value in mlflow.get_run(run_id).data.tags.items()
                if key.startswith("mlflow.logged")
            },
        }
    )
)
