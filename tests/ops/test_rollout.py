"""A rollout is shown wherever the daemon shows how a source stands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.ops.support import Told, Web


@pytest.mark.parametrize("percent", [12.5, 100.0])
def test_metrics_and_status_tell_the_share_and_the_page_while_it_is_not_all(
    web: Web, told: Told, percent: float
) -> None:
    told.held = replace(told.held, rollout_percent=percent)
    assert f'visionflow_rollout_percent{{ontology_id="kg"}} {percent}' in web.get("/metrics").body
    (source,) = json.loads(web.get("/status").body)["sources"]
    assert source["rollout_percent"] == percent
    page = web.get("/").body
    assert ("<dt>rollout</dt>" in page, f"{percent:g} %" in page) == (percent < 100, percent < 100)


def test_before_the_first_pass_there_is_no_share_to_tell(web: Web) -> None:
    assert "visionflow_rollout_percent{" not in web.get("/metrics").body
    (source,) = json.loads(web.get("/status").body)["sources"]
    assert source["rollout_percent"] is None
