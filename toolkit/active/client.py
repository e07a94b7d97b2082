"""A client: every verb with the run or the experiment that it is about; each goes straight to the store and raises."""

from __future__ import annotations

from toolkit.active.client_artifacts import ArtifactClient
from toolkit.active.client_experiments import ExperimentClient
from toolkit.active.client_registry import RegistryClient
from toolkit.active.client_runs import RunClient


class Client(ExperimentClient, RunClient, ArtifactClient, RegistryClient):
    """Experiments, runs, artifacts and registered models of a store, by their ids and names.

    Nothing depends on the active run, nothing waits in the journal: a call returns when the store has what it says, and
    raises what went wrong.

    Args:
        tracking_uri: Where the store is; default: where this process logs.
        registry_uri: Where models are registered; default: the same.
        workspace_store_uri: MLflow's argument for its workspaces; it must be left out.
    """

    def __repr__(self) -> str:
        return f"<Client of {self._uri or 'this process'}>"


MlflowClient = Client
