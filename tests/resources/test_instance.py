import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity

from mlops_assets.resources.instance import TEMPLATE, open_instance, prepare_instance
from mlops_assets.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings({"MLOPS_HOME": str(tmp_path / "home")}, cwd=tmp_path)


def test_dagster_reads_every_key_of_the_template(settings):
    with open_instance(settings) as instance:
        concurrency = instance.get_concurrency_config()
        pools = concurrency.pool_config

        assert (pools.pool_granularity, pools.default_pool_limit) == (PoolGranularity.RUN, 1)
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 4
        assert instance.run_coordinator.dequeue_interval_seconds == 2
        assert instance.get_settings("sensors") == {"use_threads": True, "num_workers": 4}
        assert instance.get_settings("schedules") == {"use_threads": True, "num_workers": 2}
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds == 7200
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 30
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_runs_outlive_the_process_that_made_them(settings):
    @dg.asset
    def thing() -> int:
        return 1

    with open_instance(settings) as instance:
        run = dg.materialize([thing], instance=instance)
    with open_instance(settings) as instance:
        assert instance.get_run_by_id(run.run_id).is_success
    assert (settings.dagster_home / "history" / "runs.db").exists()


def test_a_file_of_the_user_stays(tmp_path):
    home = tmp_path / "dagster"
    prepare_instance(home)

    assert (home / "dagster.yaml").read_text() == TEMPLATE.read_text()

    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare_instance(home)

    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_an_unknown_key_is_refused(settings):
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").write_text(TEMPLATE.read_text() + "\nrun_moniturong: {enabled: true}\n")

    with pytest.raises(dg.DagsterInvalidConfigError, match="run_moniturong"):
        open_instance(settings)
