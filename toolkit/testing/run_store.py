"""The contract of `toolkit.tracking.store.RunStore` as tests.

Point a subclass at a store, and pytest runs them all::

    class TestMyStore(RunStoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            store = MyStore(tmp_path)
            yield store
            store.close()
"""

from __future__ import annotations

from toolkit.testing.run_store_apply import ApplyContract
from toolkit.testing.run_store_experiments import ExperimentContract
from toolkit.testing.run_store_inputs import InputContract
from toolkit.testing.run_store_leases import LeaseContract
from toolkit.testing.run_store_lists import ListContract
from toolkit.testing.run_store_runs import RunContract
from toolkit.testing.run_store_sampling import SamplingContract
from toolkit.testing.run_store_series import SeriesContract
from toolkit.testing.run_store_step_keys import StepKeyContract
from toolkit.testing.run_store_upkeep import UpkeepContract
from toolkit.testing.run_store_values import ValueContract


class RunStoreContract(
    ExperimentContract,
    RunContract,
    ValueContract,
    InputContract,
    ListContract,
    LeaseContract,
    SamplingContract,
    SeriesContract,
    StepKeyContract,
    UpkeepContract,
    ApplyContract,
):
    """All of the contract. A subclass gives the fixture ``store``: an empty store, closed afterwards."""
