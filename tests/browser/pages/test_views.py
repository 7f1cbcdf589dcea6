"""The way between views, Models, Health, both languages, and what axe says of each."""

from __future__ import annotations

import re
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser.scene import scene
from browser.screen import Screen, file
from fakes.packages import build_package, encode
from handful_core.errors import PackageError
from handful_serving.adapters.key_file import KeyFile
from handful_serving.api.errors import _KINDS
from handful_serving.domain.auth import ApiKey, digest_of
from support.live_serving import LiveServing

DATA = encode(scene({(1, 1): "5", (4, 4): "2"}))
VIEWS = {
    "try": "Try a model on a picture",
    "live": "Live",
    "models": "Models",
    "monitoring": "Monitoring",
    "review": "Review",
    "health": "Health",
}


def _part(page: Any, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


def _open(page: Any, serving: LiveServing, name: str) -> None:
    Screen.open(page, f"{serving.url}/#{name}")
    expect(page.locator(f'[data-view="{name}"] h1')).to_be_attached()
    if name == "models":
        expect(page.get_by_role("table").first).to_be_visible()
    if name == "health":
        expect(_part(page, "health-when")).not_to_be_empty()
    if name == "monitoring":
        expect(_part(page, "headline")).to_be_visible()


def test_links_lead_to_each_view_and_back_goes_back(screen) -> None:
    page = screen.page
    for name in ("live", "models", "monitoring", "review", "health", "try"):
        link = page.locator(f'[data-to="{name}"]')
        link.focus()
        page.keyboard.press("Enter")
        expect(link).to_have_attribute("aria-current", "page")
        expect(page.locator(f'[data-view="{name}"]')).to_be_visible()
        expect(page.locator(".view:visible")).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_text(VIEWS[name])
        expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.go_back()
    expect(page).to_have_title("Health · Handful")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(page, serving, name, scheme) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    _open(page, serving, name)
    if name == "try":
        page.set_input_files('[data-part="file"]', file(DATA))
        expect(_part(page, "verdict-value")).to_have_text("7")
    if name == "models":
        page.get_by_role("button", name="Curves and classes").nth(1).click()
        expect(page.locator("polyline").first).to_be_attached()
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize(("width", "language"), [(1440, "en"), (1024, "en"), (390, "en"), (320, "en"), (320, "fr")])
@pytest.mark.parametrize("name", VIEWS)
def test_no_view_is_wider_than_the_window(page, serving, name, width, language) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(f"localStorage.setItem('handful.language', '{language}')")
    _open(page, serving, name)
    if name == "live":
        expect(page.locator("option").nth(1)).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_language_is_the_browsers_and_can_be_switched(browser, serving) -> None:
    page = browser.new_context(locale="fr-FR").new_page()
    page.goto(serving.url)
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(_part(page, "status")).to_have_text("Prêt")
    expect(page.get_by_role("heading", name="Montrez-lui une image")).to_be_visible()
    _part(page, "language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", name="Show it a picture")).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.context.close()


def test_no_text_of_the_page_is_left_in_english(browser, serving) -> None:
    # In the middle of loading, before any module has changed a text.
    page = browser.new_context(locale="fr-FR").new_page()
    page.route("**/js/main.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(serving.url)
    missing = page.evaluate(
        """async () => {
            const { messages } = await import('/js/locales/fr.js');
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const texts = [...document.querySelectorAll('[aria-label]')].map((e) => e.ariaLabel);
            while (walk.nextNode())
                if (!walk.currentNode.parentElement.closest('noscript')) texts.push(walk.currentNode.data);
            return texts.map((text) => text.trim().replace(/\\s+/g, ' '))
                .filter((text) => /[A-Za-z]{2}/.test(text) && !messages.page[text]);
        }"""
    )
    assert sorted(set(missing)) == ["Français", "Handful"]
    page.context.close()


def test_both_languages_have_the_same_words(browser, serving) -> None:
    page = browser.new_page()
    page.goto(f"{serving.url}/img/mark.svg")
    page.goto(serving.url)
    keys = page.evaluate(
        """async () => {
            const paths = (value, path) => Object.entries(value).flatMap(([key, one]) =>
                typeof one === 'object' ? paths(one, `${path}.${key}`) : [`${path}.${key}: ${typeof one}`]);
            const all = await Promise.all(['en', 'fr'].map((name) => import(`/js/locales/${name}.js`)));
            return all.map(({ messages: { page, ...messages } }) => paths(messages, '').sort());
        }"""
    )
    assert keys[0] == keys[1]
    page.close()


SAME_IN_BOTH = {
    "version": "v1",
    "again": "a · 3 s",
    "sum": "1 + 2",
    "announce": "Total 7. more",
    "task.classify": "classification",
    "versionState.served": "",
    "stage.total": "Total",
    "live.none": "\N{EN DASH}",
    "models.columns.version": "Version",
    "models.columns.alias": "Alias",
    "models.columns.actions": "Actions",
    "health.stageColumns.images": "Images",
    "health.stageColumns.slow": "p95",
    "health.modelColumns.architecture": "Architecture",
    "page.API": "API",
    "metric.mAP50": "mAP@0.5",
    "metric.mAP50_95": "mAP@0.5:0.95",
    "metric.top1": "top-1",
    "metric.top5": "top-5",
    "metric.f1": "F1",
    # Keys of the keyboard that bear a sign or a letter.
    "review.keys.1.0": "1 … 9 0",
    "review.keys.2.0": "X",
    "review.keys.3.0": "U",
    "review.keys.4.0": ", .",
    "review.keys.5.0": "← ↑ → ↓",
    "review.keys.6.0": "N",
    "review.keys.8.0": "S",
    "review.keys.9.0": "B",
}
"""What a French visitor reads as an English one does, by key: each a French word, too, a name or a mark."""
# Every text of both languages; of a function its own words, and of the metrics what they are called.
_WORDS = """async (metrics) => {
    const words = (value, path) => Object.entries(value).flatMap(([key, one]) =>
        typeof one === 'object' ? words(one, `${path}${key}.`) : [[path + key, String(one)]]);
    const [en, fr] = await Promise.all(['en', 'fr'].map(async (name) =>
        (await import(`/js/locales/${name}.js`)).messages));
    const { page, ...french } = fr;
    const called = (messages) => Object.fromEntries(metrics.map((key) => [key, messages.metricName(key)]));
    const flat = (messages, page) =>
        Object.fromEntries(words({ ...messages, metricName: '', metric: called(messages), page }, ''));
    const same = Object.fromEntries(Object.keys(page).map((key) => [key, key]));
    const texts = [flat(en, same), flat(french, page)];
    return texts.map(({ metricName, ...rest }) => rest);
}"""
METRICS = [
    "mAP50",
    "mAP50_95",
    "count_accuracy",
    "macro_f1",
    "accuracy",
    "top1",
    "top5",
    "f1",
    "precision",
    "recall",
    "ece",
]


def test_no_word_is_left_in_english(page, serving) -> None:
    page.goto(serving.url)
    english, french = page.evaluate(_WORDS, METRICS)
    assert english.keys() == french.keys()
    assert len(french) > 250
    same = {key for key, text in french.items() if text == english[key]}
    assert same == SAME_IN_BOTH.keys()
    assert [key for key, text in french.items() if not text.strip() and key not in SAME_IN_BOTH] == []
    assert {key: french[key] for key in same if not french[key].startswith("(")}.items() <= SAME_IN_BOTH.items()


def test_every_reason_that_the_server_counts_has_words_in_both_languages(page, serving) -> None:
    page.goto(serving.url)
    names = {name.replace("-", "_") for _, _, name, _ in _KINDS}
    names |= {"client_gone", "queue_full", "deadline", "pending_bytes", "live_connections", "loading"}
    kinds = {one.kind for one in (PackageError, *_kinds_below(PackageError)) if "kind" in vars(one)}
    kinds |= {"time", "memory", "crash", "busy", "graph", "golden", "resource", "registry", "internal"}
    for language in ("en", "fr"):
        words = page.evaluate("async (name) => (await import(`/js/locales/${name}.js`)).messages.health", language)
        assert words["reason"].keys() == names
        assert words["failure"].keys() == kinds


def _kinds_below(kind: type[PackageError]) -> list[type[PackageError]]:
    return [found for below in kind.__subclasses__() for found in (below, *_kinds_below(below))]


def test_a_french_visitor_reads_french_names_of_metrics_curves_and_refusals(browser, serving) -> None:
    page = browser.new_context(locale="fr-FR").new_page()
    _open(page, serving, "models")
    expect(page.get_by_role("table", name="fingers")).to_contain_text("mAP@0.5 0,913")
    page.get_by_role("button", name="Courbes et classes").nth(1).click()
    curve = page.get_by_role("img", name="entraînement/perte des cadres : de 2,000 à 0,450 en 3 pas")
    expect(curve.locator("text.of")).to_have_text("Époque")
    expect(curve.locator("text.y")).to_have_text(["0", "0,5", "1", "1,5", "2"])
    refused = httpx.post(f"{serving.url}/api/predict", files={"image": b"no image"}, timeout=60)
    assert refused.status_code == 415
    page.locator('[data-to="health"]').click()
    expect(page.get_by_role("term").filter(has_text="File d\N{RIGHT SINGLE QUOTATION MARK}attente")).to_be_visible()
    expect(page.get_by_role("table", name="Refus, par raison")).to_contain_text("pas une image")
    page.context.close()


def test_models_are_listed_with_their_runs_curves_and_classes(page, serving) -> None:
    _open(page, serving, "models")
    fingers = page.get_by_role("table", name="fingers")
    expect(fingers.get_by_role("row")).to_have_count(4)
    expect(fingers.get_by_role("row").nth(2)).to_contain_text("champion")
    expect(fingers.get_by_role("row").nth(2)).to_contain_text("mAP@0.5 0.913")
    fingers.get_by_role("row").nth(2).get_by_role("button", name="Curves and classes").click()
    expect(page.get_by_role("img", name="train/box_loss: from 2.000 to 0.450 in 3 steps")).to_be_visible()
    classes = page.get_by_role("table", name="By class, mAP@0.5")
    expect(classes.get_by_role("columnheader")).to_have_text(["Class", "v2", "v1"])
    expect(classes.get_by_role("row").last).to_have_text("50.9000.450")
    link = page.get_by_role("link", name="Open in MLflow")
    assert (link.get_attribute("href") or "").endswith(f"/#/experiments/1/runs/{2:032x}?workflowType=machine_learning")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_a_curve_has_labelled_axes_that_can_be_read(page, serving, width, scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    _open(page, serving, "models")
    page.get_by_role("button", name="Curves and classes").nth(1).click()
    curve = page.get_by_role("img", name="train/box_loss: from 2.000 to 0.450 in 3 steps")
    expect(curve.locator("text.y")).to_have_text(["0", "0.5", "1", "1.5", "2"])
    expect(curve.locator("text.x")).to_have_text(["0", "1", "2"])
    expect(curve.locator("text.of")).to_have_text("Epoch")
    frame = curve.bounding_box()
    assert frame
    boxes = [text.bounding_box() for text in curve.locator("text").all()]
    assert [b for b in boxes if b["x"] < frame["x"] or b["x"] + b["width"] > frame["x"] + frame["width"]] == []
    assert [b for b in boxes if b["y"] + b["height"] > frame["y"] + frame["height"] + 1] == []
    # Letters are as high as in the rest of the page, and as far from the ground as WCAG wants of text.
    shown = curve.locator("text.y").first.evaluate(
        """(text) => ({ size: parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a,
            ink: getComputedStyle(text).fill, ground: getComputedStyle(text.closest('.card')).backgroundColor })"""
    )
    assert shown["size"] >= 11
    assert _contrast(shown["ink"], shown["ground"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2.2, 1 to 21."""

    def luminance(colour: str) -> float:
        shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_wider_than_a_phone_is_shaded_where_there_is_more(page, serving, scheme) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    _open(page, serving, "models")
    region = page.get_by_role("region", name="fingers")
    assert _shaded(page, region) == (False, True)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    # By the keyboard alone, to the end: nothing is hidden on the right any more.
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(element) => element.scrollLeft > 0", arg=region.element_handle())
    region.evaluate("(element) => (element.scrollLeft = 100)")
    assert _shaded(page, region) == (True, True)
    region.evaluate("(element) => (element.scrollLeft = element.scrollWidth)")
    assert _shaded(page, region) == (True, False)
    page.set_viewport_size({"width": 2000, "height": 844})
    assert _shaded(page, region) == (False, False)


def _shaded(page: Any, region: Any) -> tuple[bool, bool]:
    """Whether the left and the right edge are darker than the card, in the table's uppermost line."""
    page.evaluate("() => document.activeElement.blur()")
    box = region.bounding_box()
    shot = page.screenshot(clip={**box, "height": 3})
    row = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)[1].astype(int)
    ground = np.median(row)
    return bool(ground - row[2] > 10), bool(ground - row[-3] > 10)


def test_the_gates_decision_is_shown_with_its_reason(page, serving) -> None:
    _open(page, serving, "models")
    rows = page.get_by_role("table", name="fingers").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("not decided")
    expect(rows.nth(2)).to_contain_text("promoted")
    assert rows.nth(3).locator("details").count() == 0, "it passed no gate"
    reason = rows.nth(1).get_by_text("12 of 60 test images are new to both")
    expect(reason).to_be_hidden()
    rows.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    expect(reason).to_be_visible()
    # Another listing, so that the table is drawn anew: the reason stays open.
    page.route("**/api/models", lambda route: route.fulfill(body=route.fetch().text().replace("0.9134", "0.7134")))
    for name in ("health", "models"):
        page.locator(f'[data-to="{name}"]').click()
    expect(rows.nth(2)).to_contain_text("0.713")
    expect(reason).to_be_visible()
    ranking = page.get_by_text("Scores of different test sets are no ranking")
    expect(ranking).to_have_count(1)  # Once: the classifier has one version.
    expect(ranking).to_be_visible()


def test_the_list_of_versions_says_that_their_scores_are_no_ranking(page, serving) -> None:
    screen = Screen.open(page, serving.url)
    screen.part("picker-button").click()
    expect(screen.part("picker-panel")).to_contain_text("Scores of different test sets are no ranking")


def test_what_went_wrong_is_no_longer_said_once_it_went_well(page, console, serving) -> None:
    console.expect("ERR_FAILED")
    _open(page, serving, "models")
    row = page.get_by_role("table", name="fingers").get_by_role("row").nth(2)
    page.route("**/run", lambda route: route.abort())
    row.get_by_role("button", name="Curves and classes").click()
    expect(_part(page, "models-says")).to_have_text("The server does not answer")
    page.unroute("**/run")
    row.get_by_role("button", name="Curves and classes").click()
    expect(page.locator("polyline").first).to_be_attached()
    expect(_part(page, "models-says")).to_be_empty()


def test_a_version_is_promoted_after_a_question_and_rolled_back(page, dashboard, tmp_path) -> None:
    with LiveServing(tmp_path / "home", dashboard) as own:
        own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
        own.mlflow.register(build_package(tmp_path / "2"))
        own.wait_until_ready()
        _open(page, own, "models")
        page.get_by_role("button", name="Make champion").click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("row").nth(2)).to_contain_text("champion")
        page.get_by_role("button", name="Make champion").click()
        _part(page, "yes").click()
        expect(_part(page, "models-says")).to_have_text("fingers v2 is the champion now.")
        expect(page.get_by_role("row").nth(1)).to_contain_text("champion")
        # The button that was pressed is gone with the table: the keyboard stays in its row.
        expect(page.get_by_role("row").nth(1).get_by_role("button", name="Curves and classes")).to_be_focused()
        page.get_by_role("button", name="Roll back").click()
        _part(page, "yes").click()
        expect(_part(page, "models-says")).to_have_text("fingers v1 is the champion now.")


def test_a_server_with_keys_asks_for_one_and_for_an_admins_to_promote(page, console, dashboard, tmp_path) -> None:
    console.expect("status of 401", "status of 403")
    keys = [ApiKey(name, digest_of(f"secret-of-{name}"), frozenset({name}), None) for name in ("predict", "admin")]
    KeyFile(tmp_path / "home" / "keys.json").write(keys)
    with LiveServing(tmp_path / "home", dashboard, {"auth": "on"}) as own:
        own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
        own.mlflow.register(build_package(tmp_path / "2"))
        own.wait_until_ready()
        page.goto(f"{own.url}/#models")
        for wrong_or_right in ("wrong", "secret-of-predict"):
            page.get_by_label("Key", exact=True).fill(wrong_or_right)
            page.get_by_role("button", name="Use this key").click()
            if wrong_or_right == "wrong":
                expect(page.get_by_text("This key was not accepted.")).to_be_visible()
        page.get_by_role("button", name="Make champion").click()
        _part(page, "yes").click()
        page.get_by_label("Key", exact=True).fill("secret-of-admin")
        page.get_by_role("button", name="Use this key").click()
        expect(_part(page, "models-says")).to_have_text("fingers v2 is the champion now.")


def test_health_tells_what_the_server_measures(page, serving) -> None:
    Screen.open(page, serving.url).drop(file(DATA))
    expect(_part(page, "verdict-value")).to_have_text("7")
    page.locator('[data-to="health"]').click()
    expect(page.locator(".things")).to_contain_text("Registry (MLflow): up")
    expect(page.get_by_role("table", name="Models in memory")).to_contain_text("fingers v2")
    expect(page.get_by_role("table", name="Milliseconds by stage")).to_contain_text("Inference")
    assert int(page.locator('[data-figure="answered"]').inner_text()) >= 1


def test_health_asks_once_at_a_time_and_not_while_it_is_hidden(page, serving) -> None:
    page.clock.install()
    screen = Screen.open(page, serving.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/metrics") else None)
    # Its code is under way while the visitor goes to it twice.
    late: list[Any] = []
    page.route("**/js/health/view.js", lambda route: late.append(route))  # noqa: PLW0108  # Playwright marks what it calls.
    for name in ("health", "try", "health"):
        page.locator(f'[data-to="{name}"]').click()
        expect(page.locator(f'[data-to="{name}"]')).to_have_attribute("aria-current", "page")
    late[0].continue_()
    expect(screen.part("health-when")).not_to_be_empty()
    page.locator('[data-to="try"]').click()
    asked.clear()
    page.clock.run_for(12_000)
    page.wait_for_timeout(200)
    assert asked == []


def test_health_says_when_the_server_is_gone(page, console, serving) -> None:
    _open(page, serving, "health")
    console.expect("ERR_FAILED")
    page.route("**/api/metrics", lambda route: route.abort())
    expect(_part(page, "health-says")).to_have_text("The server does not answer")


def test_a_view_whose_code_cannot_be_had_says_so_and_comes_when_the_server_is_back(page, console, serving) -> None:
    console.expect("ERR_FAILED")
    screen = Screen.open(page, serving.url)
    expect(screen.part("status")).to_have_text("Ready")
    page.route("**/*", lambda route: route.abort())
    page.locator('[data-to="models"]').click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(screen.part("status")).to_have_text("No connection")
    page.unroute("**/*")
    expect(page.get_by_role("table", name="fingers")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_health_leaves_the_keyboard_where_it_is(page, serving) -> None:
    _open(page, serving, "health")
    region = page.get_by_role("region", name="Models in memory")
    region.focus()
    region.evaluate("(element) => (element.old = true)")
    # Another figure, so that the card is drawn anew.
    page.route(
        "**/api/metrics",
        lambda route: route.fulfill(body=route.fetch().text().replace("handful_model_memory_bytes{", "x{")),
    )
    expect(region).to_contain_text("0 B")
    expect(region).to_be_focused()
    assert not region.evaluate("(element) => element.old ?? false")
