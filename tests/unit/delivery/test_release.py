"""Blue and green: what comes up, what is asked, what answers, and what stays as it was when something goes wrong."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from compose.errors import CONFIG, ComposeError
from delivery.release import CHECK_FAILED, Release
from delivery.status import lines, status
from fakes.kubectl import FakeKubectl
from unit.delivery.conftest import RIGHT, manifests


@pytest.fixture
def release(kubectl: FakeKubectl) -> Release:
    """One delivery was made: blue answers."""
    release = Release(kubectl)
    assert release.live() is None
    assert release.deploy(manifests()) == "blue"
    release.test("blue", 200)
    return release


def _chosen(kubectl: FakeKubectl) -> str:
    return str(kubectl.objects["service", "serving"]["spec"]["selector"]["handful/colour"])


def _least(kubectl: FakeKubectl, colour: str) -> int:
    return int(kubectl.objects["horizontalpodautoscaler", f"serving-{colour}"]["spec"]["minReplicas"])


def test_the_first_is_blue_and_answers(kubectl: FakeKubectl, release: Release) -> None:
    assert (release.live(), _chosen(kubectl)) == ("blue", "blue")
    assert release.deployment("green") is None
    first = kubectl.calls.index("wait deployment/mlflow")
    assert first < kubectl.calls.index("apply deployment/serving-blue"), "serving starts with a registry that is there"


def test_the_second_comes_up_beside_the_first(kubectl: FakeKubectl, release: Release) -> None:
    assert release.deploy(manifests("handful/serving:2")) == "green"
    assert _chosen(kubectl) == "blue"
    images = {
        colour: kubectl.objects["deployment", f"serving-{colour}"]["spec"]["template"]["spec"]["containers"][0]["image"]
        for colour in ("blue", "green")
    }
    assert images == {"blue": "handful/serving:1", "green": "handful/serving:2"}
    green = kubectl.objects["deployment", "serving-green"]
    assert green["spec"]["selector"]["matchLabels"] == {"handful/colour": "green"}
    scaler = kubectl.objects["horizontalpodautoscaler", "serving-green"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "serving-green"


def test_a_switch_and_back(kubectl: FakeKubectl, release: Release) -> None:
    release.deploy(manifests("handful/serving:2"))
    release.test("green", 200)
    assert release.switch() == "green"
    assert _chosen(kubectl) == "green"
    assert release.rollback() == "blue"
    assert _chosen(kubectl) == "blue"
    with pytest.raises(ComposeError, match="no switch since the last rollback"):
        release.rollback()
    assert _chosen(kubectl) == "blue", "a second rollback would bring the bad one back"


def test_what_was_not_tested_does_not_answer(kubectl: FakeKubectl, release: Release) -> None:
    release.deploy(manifests("handful/serving:2"))
    with pytest.raises(ComposeError, match="was not tested") as refused:
        release.switch()
    assert refused.value.exit_code == CHECK_FAILED
    assert _chosen(kubectl) == "blue"
    assert release.switch(untested=True) == "green"


def test_what_was_tested_before_it_changed_was_not_tested(kubectl: FakeKubectl, release: Release) -> None:
    release.deploy(manifests("handful/serving:2"))
    release.test("green", 200)
    release.deploy(manifests("handful/serving:3"))
    with pytest.raises(ComposeError, match="was not tested"):
        release.switch()
    assert _chosen(kubectl) == "blue"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": {"fingers/1": "right", "leaves/2": "HTTP 500"}}, "leaves/2: HTTP 500"),
        ({"models": {}}, "no model"),
        ({"models": {"a/1": "HTTP 401 x"}, "failed": 1, "errors": ["HTTP 401 x"]}, "an API key that is not known here"),
        ({"failed": 1, "errors": ["HTTP 503"]}, "1 of 200 requests failed, 0 were answered wrongly; HTTP 503"),
        ({"wrong": 2, "errors": ["a box too many"]}, "0 of 200 requests failed, 2 were answered wrongly"),
    ],
)
def test_what_does_not_pass(kubectl: FakeKubectl, release: Release, change: dict[str, Any], said: str) -> None:
    release.deploy(manifests("handful/serving:2"))
    kubectl.report = {**RIGHT, **change}
    with pytest.raises(ComposeError, match=said) as refused:
        release.test("green", 200)
    assert refused.value.exit_code == CHECK_FAILED
    with pytest.raises(ComposeError, match="was not tested"):
        release.switch()


def test_the_other_gets_as_many_replicas_as_answer_before_it_answers(kubectl: FakeKubectl, release: Release) -> None:
    kubectl.objects["deployment", "serving-blue"]["spec"]["replicas"] = 7
    release.deploy(manifests("handful/serving:2"))
    assert kubectl.objects["deployment", "serving-green"]["status"]["readyReplicas"] == 7
    release.test("green", 200)
    kubectl.objects["deployment", "serving-blue"]["spec"]["replicas"] = 9
    release.switch()
    calls = [call for call in kubectl.calls if call.startswith("patch")]
    change = calls.index(next(call for call in calls if call.startswith("patch service/serving")))
    assert '"minReplicas": 9' in calls[change - 1]
    assert _least(kubectl, "green") == 2, "the autoscaler decides again"


def test_no_more_replicas_than_the_autoscaler_may_make(kubectl: FakeKubectl, release: Release) -> None:
    kubectl.objects["deployment", "serving-blue"]["spec"]["replicas"] = 99
    release.deploy(manifests("handful/serving:2"))
    assert _least(kubectl, "green") == 10


def test_what_does_not_come_up_changes_nothing(kubectl: FakeKubectl, release: Release) -> None:
    kubectl.failing = "deployment/serving-green"
    with pytest.raises(ComposeError, match="is not ready"):
        release.deploy(manifests("handful/serving:2"))
    assert _chosen(kubectl) == "blue"
    kubectl.failing = "deployment/mlflow"
    with pytest.raises(ComposeError, match="is not ready"):
        release.deploy(manifests("handful/serving:3"))
    assert _chosen(kubectl) == "blue"


def test_a_delivery_after_a_switch_goes_to_the_colour_that_does_not_answer(
    kubectl: FakeKubectl, release: Release
) -> None:
    release.deploy(manifests("handful/serving:2"))
    release.test("green", 200)
    release.switch()
    assert release.deploy(manifests("handful/serving:3")) == "blue"
    assert _chosen(kubectl) == "green"


def test_a_switch_that_finds_no_room_leaves_all_as_it_was(kubectl: FakeKubectl, release: Release) -> None:
    release.deploy(manifests("handful/serving:2"))
    release.test("green", 200)
    kubectl.objects["deployment", "serving-blue"]["spec"]["replicas"] = 8
    kubectl.failing = "deployment/serving-green"
    with pytest.raises(ComposeError, match="is not ready"):
        release.switch()
    assert _chosen(kubectl) == "blue"
    assert _least(kubectl, "green") == 2


@pytest.mark.parametrize("action", ["switch", "rollback"])
def test_before_the_first_delivery(kubectl: FakeKubectl, action: str) -> None:
    with pytest.raises(ComposeError, match="nothing is delivered yet") as refused:
        getattr(Release(kubectl), action)()
    assert refused.value.exit_code == CONFIG


def test_there_is_no_other_yet(release: Release) -> None:
    with pytest.raises(ComposeError, match="no green yet"):
        release.switch()


def test_the_key_is_on_no_command_line(kubectl: FakeKubectl, release: Release) -> None:
    release.test("blue", 200, "handful_secret")
    assert "handful_secret" in kubectl.sources[-1]
    assert not any("handful_secret" in call for call in kubectl.calls)
    ast.parse(kubectl.sources[-1])


def test_status_says_what_answers_and_what_was_tested(kubectl: FakeKubectl, release: Release) -> None:
    release.deploy(manifests("handful/serving:2"))
    found = status(kubectl)
    assert found["live"] == "blue"
    assert {name: each["tested"] for name, each in found["colours"].items()} == {"blue": True, "green": False}
    assert [line for line in lines(found) if line.startswith("* blue")]
    assert lines(status(FakeKubectl())) == ["nothing is delivered yet: run scripts/deploy deploy"]
