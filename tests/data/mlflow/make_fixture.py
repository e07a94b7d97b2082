"""Makes the stores of this folder anew: ``python make_fixture.py``, with an interpreter that has MLflow 3."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PLACE = "/srv/mlflow"  # what stands for the folder in which the stores were made
TABLES = (
    "experiments experiment_tags runs metrics latest_metrics params tags datasets inputs input_tags registered_models "
    "alembic_version"
).split()

for kind in ("database", "folder"):
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary).resolve()
        uri = f"sqlite:///{made}/mlflow.db" if kind == "database" else f"file://{made}/mlruns"
        subprocess.run([sys.executable, str(HERE / "make_store.py"), uri, str(made)], check=True)
        target = HERE / kind
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        if kind == "database":
            connection = sqlite3.connect(made / "mlflow.db")
            wanted = tuple(f'INSERT INTO "{name}"' for name in TABLES)
            schema = [
                row[0]
                for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
                if row[0].split("(")[0].replace("CREATE TABLE", "").strip().strip('"') in TABLES
            ]
            rows = [line for line in connection.iterdump() if line.startswith(wanted)]
            text = ";\n".join(schema) + ";\n" + "\n".join(rows) + "\n"
            (target / "mlflow.sql").write_text(text.replace(str(made), PLACE))
            shutil.copytree(made / "artifacts", target / "artifacts")
        else:
            shutil.copytree(made / "mlruns", target / "mlruns")
            for file in target.rglob("meta.yaml"):
                file.write_text(file.read_text().replace(str(made), PLACE))
        (target / "expected.json").write_text((made / "expected.json").read_text().replace(str(made), PLACE))
