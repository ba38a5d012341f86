"""rotomdb-rdb memory, info and report."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import rotomdb.rdb
from rotomdb.formats.sinks.memory_model import radix_nodes
from tests.tools.running import ALL_KINDS, run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.rdb"
    with rotomdb.rdb.create(path, target="redis-7.0") as writer:
        for number in range(300):
            writer.add(f"user:{number}:profile", "x" * 200)
            writer.add(f"cart:{number}", {f"item{i}": i for i in range(10)}, expire_ms=1_900_000_000_000)
        writer.add("<script>alert(1)</script>:x", "y" * 100_000)
        writer.add("no-prefix", 1)
    return path


def test_sums_agree_with_each_other(shop: Path) -> None:
    report = json.loads(run("memory", "--json", shop).stdout)
    per_key = list(csv.DictReader(io.StringIO(run("memory", "--per-key", shop).stdout)))
    assert report["keys"] == len(per_key) == 602
    assert report["bytes"] == sum(int(row["bytes"]) for row in per_key)
    for name in ("by_type", "by_db", "by_prefix", "by_ttl"):
        assert sum(row["bytes"] for row in report[name]) == report["bytes"], name
    assert {row["name"]: row["keys"] for row in report["by_prefix"]}["user:"] == 300
    assert report["largest"][0]["key"] == "<script>alert(1)</script>:x"


def test_sizes_are_those_that_memory_usage_gave(tmp_path: Path) -> None:
    """Seen in redis-server 7.0.15 of Debian; tests/interop asks a live one about many more."""
    with rotomdb.rdb.create(tmp_path / "a.rdb", target="redis-7.0") as writer:
        for size in (1, 12, 20, 28, 29, 44):
            writer.add(f"k{size}", "x" * size)
        writer.add("i", 5)
        writer.add("r", "x" * 100)
        writer.add("s2", {"a", "b"})
        writer.add("x", rotomdb.rdb.Stream([((1, 1), [(b"a", b"b")])], 1, (1, 1), (0, 0), 1, []))
    rows = csv.DictReader(io.StringIO(run("memory", "--per-key", tmp_path / "a.rdb").stdout))
    assert {row["key"]: int(row["bytes"]) for row in rows} == {
        "k1": 64, "k12": 64, "k20": 80, "k28": 80, "k29": 96, "k44": 96, "i": 48, "r": 160, "s2": 200, "x": 4728,
    }  # fmt: skip


def test_other_models_and_allocators_differ(shop: Path) -> None:
    sizes = {
        words: json.loads(run("memory", "--json", *words, shop).stdout)["bytes"]
        for words in ((), ("--model", "redis-6.2"), ("--allocator", "jemalloc-bundled"))
    }
    assert sizes[("--allocator", "jemalloc-bundled")] < sizes[()] <= sizes[("--model", "redis-6.2")]


def test_radix_nodes_are_counted_as_the_server_builds_them() -> None:
    assert [radix_nodes(sorted(keys)) for keys in ([], [b"ab"], [b"ab", b"ac"], [b"ab", b"cd"])] == [1, 2, 4, 5]


def test_info_in_a_pipe_is_plain_columns() -> None:
    done = run("info", ALL_KINDS)
    assert done.returncode == 0
    assert "│" not in done.stdout
    assert re.search(r"^quicklist-v2\tlist\t", done.stdout, re.MULTILINE)


def test_a_report_is_one_page_that_needs_nothing(shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run("report", shop, "-o", page).returncode == 0
    text = page.read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert "<script>alert(1)" not in text, "a key became markup"
    assert '"keys": 602' in text


def test_a_report_draws_itself_in_a_browser(shop: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed here")
    page = tmp_path / "report.html"
    assert run("report", shop, "-o", page).returncode == 0
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=4000",
        "--dump-dom",
    ]
    done = subprocess.run([browser, *words, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert 'aria-label="user: – 300 keys' in done.stdout, done.stderr[-2000:]
    assert done.stdout.count('class="bar"') > 10
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in done.stdout
