import os

import pytest
from hypothesis import HealthCheck, settings

common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=60, **common)
settings.register_profile("ci", max_examples=150, derandomize=True, **common)
settings.register_profile("large", max_examples=3000, **common)


def pytest_addoption(parser):
    parser.addoption("--large", action="store_true", help="large sizes: minutes to hours")
    parser.addoption("--many", action="store_true", help="ten times as many random networks")


def pytest_configure(config):
    large = config.getoption("--large")
    settings.load_profile("large" if large else "ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def large(request) -> bool:
    return bool(request.config.getoption("--large"))


@pytest.fixture
def many(request) -> bool:
    return bool(request.config.getoption("--many"))
