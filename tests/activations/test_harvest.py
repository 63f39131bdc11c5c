import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unweave.activations import harvest as stage
from unweave.activations import parts, reading
from unweave.activations.store import StoredActivations, read_attributes, read_tokens
from unweave.config import CorpusSettings, HarvestSettings
from unweave.datasets.stored import load_dataset
from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint

CPU = torch.device("cpu")
SITES = ["resid", "mlp_neurons"]
SMALL_PARTS = 60


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PART_ROWS", SMALL_PARTS)


@pytest.fixture
def run(model_folder: Path, dataset_folder: Path) -> Callable[..., dict[str, Path]]:
    def run(
        folder: Path,
        *,
        model: Path = model_folder,
        data: Path = dataset_folder,
        sites: list[str] = SITES,
        **changes: Any,
    ) -> dict[str, Path]:
        corpus = {"dataset": "tiny-text", "split": "all", "context": 32}
        settings = {"sites": sites, "layers": [3, 1], "compute_dtype": "float32", "batch_tokens": 96}
        corpus |= {key: value for key, value in changes.items() if key in CorpusSettings.model_fields}
        settings |= {key: value for key, value in changes.items() if key in HarvestSettings.model_fields}
        outputs = {site: folder / f"{site}.h5" for site in sites}
        stage.harvest(
            model,
            data,
            CorpusSettings.model_validate(corpus),
            HarvestSettings.model_validate(settings),
            outputs,
            CPU,
            {"model": "tiny", "corpus": "all"},
        )
        return outputs

    return run


def contents(outputs: dict[str, Path]) -> dict[str, bytes]:
    return {site: path.read_bytes() for site, path in outputs.items()}


def test_rows_are_the_hidden_states_of_every_kept_position(
    run: Callable[..., dict[str, Path]], tmp_path: Path, model_folder: Path, dataset_folder: Path
) -> None:
    path = run(tmp_path, store_dtype="float32")["resid"]
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokens, expected, ids = read_tokens(path), [], []
    for text in load_dataset(dataset_folder)["text"]:
        document = tokenizer(text, return_tensors="pt")["input_ids"][:, :32]
        with torch.no_grad():
            states = model(input_ids=document, output_hidden_states=True).hidden_states
        expected.append(states[2][0, 1:])
        ids += document[0, 1:].tolist()
    assert torch.allclose(StoredActivations(path, 1).rows(), torch.cat(expected), atol=1e-5)
    assert tokens.ids.tolist() == ids
    assert (np.diff(tokens.docs) >= 0).all()
    assert tokens.positions.min() == 1
    assert tokens.positions.max() == 31


def test_all_sites_and_layers_have_the_same_tokens_and_their_own_width(
    run: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    outputs = run(tmp_path)
    assert (read_tokens(outputs["resid"]).ids == read_tokens(outputs["mlp_neurons"]).ids).all()
    shapes = {(site, layer): StoredActivations(path, layer) for site, path in outputs.items() for layer in (1, 3)}
    assert {key: acts.d for key, acts in shapes.items()} == {
        ("resid", 1): 16, ("resid", 3): 16, ("mlp_neurons", 1): 40, ("mlp_neurons", 3): 40,
    }  # fmt: skip
    assert len({acts.n for acts in shapes.values()}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlp_neurons.h5", "resid.h5"]


def test_a_site_can_be_harvested_at_fewer_layers_than_the_others(
    run: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    few = run(tmp_path / "few", layers_at={"mlp_neurons": [3]})
    every = run(tmp_path / "every")
    assert few["resid"].stat().st_size == every["resid"].stat().st_size
    assert read_attributes(few["mlp_neurons"])["layers"] == [3]
    rows = StoredActivations(few["mlp_neurons"], 3).rows()
    assert torch.equal(rows, StoredActivations(every["mlp_neurons"], 3).rows())
    with pytest.raises(UnweaveError, match="has no layer 1, only 3"):
        StoredActivations(few["mlp_neurons"], 1)


@pytest.mark.parametrize("tokens", [1, 59, 60, 61, 200])
def test_a_token_budget_is_met_exactly_with_the_first_rows(
    run: Callable[..., dict[str, Path]], tmp_path: Path, tokens: int
) -> None:
    some = run(tmp_path / "some", sites=["resid"], tokens=tokens)["resid"]
    every = run(tmp_path / "all", sites=["resid"])["resid"]
    assert StoredActivations(some, 3).n == tokens
    assert (read_tokens(some).ids == read_tokens(every).ids[:tokens]).all()
    assert (read_tokens(some).docs == read_tokens(every).docs[:tokens]).all()
    assert torch.allclose(StoredActivations(some, 3).rows(), StoredActivations(every, 3).rows()[:tokens], rtol=0.02)


def test_a_budget_beyond_the_corpus_takes_all_of_it_and_says_so(
    run: Callable[..., dict[str, Path]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    n = StoredActivations(run(tmp_path, sites=["resid"], tokens=100_000)["resid"], 1).n
    assert n == StoredActivations(run(tmp_path / "all", sites=["resid"])["resid"], 1).n
    assert "the documents end before 100,000 tokens" in caplog.text


def test_documents_are_those_of_the_split_and_as_many_of_each_label_as_wanted(
    run: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    path = run(tmp_path, sites=["resid"], split="test", documents_per_label=2, drop_positions=0)["resid"]
    assert len(np.unique(read_tokens(path).docs)) == 6


def test_a_corpus_may_keep_its_outliers(run: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    every = read_tokens(run(tmp_path / "all")["resid"])
    kept = read_tokens(run(tmp_path / "kept", max_norm_ratio=1.25, keep_outliers=True)["resid"])
    assert kept.positions.tolist() == every.positions.tolist()


def test_a_corpus_may_keep_its_first_tokens(run: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    usual = run(tmp_path / "usual")["resid"]
    whole = run(tmp_path / "whole", keep_first=True)["resid"]
    assert read_tokens(usual).positions.min() == 1
    positions = read_tokens(whole).positions
    assert (positions == 0).sum() == len(np.unique(read_tokens(whole).docs))
    rows = StoredActivations(whole, 1).rows()[torch.from_numpy(positions > 0)]
    assert torch.allclose(rows, StoredActivations(usual, 1).rows())


def test_outliers_are_dropped_at_all_layers_and_counted(run: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    every = run(tmp_path / "all", store_dtype="float32")
    some = run(tmp_path / "some", store_dtype="float32", max_norm_ratio=1.25)
    kept, all_tokens = read_tokens(some["resid"]), read_tokens(every["resid"])
    norms = torch.stack([StoredActivations(every["resid"], layer).rows().norm(dim=1) for layer in (1, 3)])
    # The medians are those of the first part, which is the first documents that together have enough rows.
    ends = np.flatnonzero(np.diff(all_tokens.docs)) + 1
    first = int(ends[ends >= SMALL_PARTS][0])
    usual = (norms <= 1.25 * norms[:, :first].median(dim=1).values[:, None]).all(dim=0).numpy()
    assert 0 < usual.sum() < len(usual)
    assert (kept.docs == all_tokens.docs[usual]).all()
    assert (kept.positions == all_tokens.positions[usual]).all()
    assert read_attributes(some["resid"])["dropped_outliers"] == (~usual).sum()
    rows = StoredActivations(every["mlp_neurons"], 3).rows()[usual]
    assert torch.allclose(StoredActivations(some["mlp_neurons"], 3).rows(), rows, atol=1e-6)


def test_a_token_budget_counts_the_rows_that_outliers_leave(
    run: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    path = run(tmp_path, sites=["resid"], tokens=150, max_norm_ratio=1.25)["resid"]
    assert len(read_tokens(path).ids) == 150


def test_attributes_say_what_was_read_and_how(run: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    attributes = read_attributes(run(tmp_path, max_norm_ratio=50)["mlp_neurons"])
    fixed = {
        "schema": "activations/1",
        "site": "mlp_neurons",
        "width": 40,
        "layers": [1, 3],
        "stored_dtype": "bfloat16",
        "compute_dtype": "float32",
        "filters": "fletcher32",
        "model": "tiny",
        "model_revision": "seed-0",
        "dataset": "tiny-text",
        "context": 32,
        "adds_bos": False,
        "drop_positions": 1,
        "max_norm_ratio": 50.0,
        "dropped_outliers": 0,
        "device": "cpu",
    }
    assert fixed.items() <= attributes.items()
    assert json.loads(attributes["description"]) == {"model": "tiny", "corpus": "all"}
    assert json.loads(attributes["versions"])["torch"] == torch.__version__
    assert all(re.fullmatch("[0-9a-f]{64}", attributes[key]) for key in ("model_sha256", "dataset_sha256"))


def test_a_tokenizer_that_adds_bos_is_recorded_and_its_bos_is_position_0(
    run: Callable[..., dict[str, Path]], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    path = run(tmp_path, model=make_model(tmp_path / "model", bos=True), sites=["resid"], drop_positions=0)["resid"]
    tokens = read_tokens(path)
    assert read_attributes(path)["adds_bos"] is True
    assert (tokens.ids[tokens.positions == 0] == 0).all()
    assert (tokens.ids[tokens.positions > 0] != 0).all()


KILLED = """
import sys, time
from pathlib import Path
import torch
from unweave.activations import harvest, parts
from unweave.config import CorpusSettings, HarvestSettings
harvest.PART_ROWS = {part_rows}
write = parts.PartFolder.append
def slowly(self, *args):
    write(self, *args)
    time.sleep(0.2)
parts.PartFolder.append = slowly
harvest.harvest(
    Path({model!r}), Path({data!r}),
    CorpusSettings(dataset="tiny-text", split="all", context=32),
    HarvestSettings(sites={sites!r}, layers=[3, 1], compute_dtype="float32", batch_tokens=96, max_norm_ratio=1.5),
    {{site: Path({folder!r}) / f"{{site}}.h5" for site in {sites!r}}},
    torch.device("cpu"),
    {{"model": "tiny", "corpus": "all"}},
)
"""


def test_a_killed_harvest_resumes_and_ends_with_the_bytes_of_an_uninterrupted_one(
    run: Callable[..., dict[str, Path]], tmp_path: Path, model_folder: Path, dataset_folder: Path
) -> None:
    folder = tmp_path / "killed"
    script = KILLED.format(
        part_rows=SMALL_PARTS, model=str(model_folder), data=str(dataset_folder), sites=SITES, folder=str(folder)
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    waiting_ends = time.monotonic() + 120
    while len(list(folder.glob(".resid.h5.parts/part-*.safetensors"))) < 2:
        assert process.poll() is None, "the harvest ended before it was killed"
        assert time.monotonic() < waiting_ends
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(folder.glob("*.h5"))

    found = len(list(folder.glob(".resid.h5.parts/part-*.safetensors")))
    resumed = run(folder, max_norm_ratio=1.5)
    assert contents(resumed) == contents(run(tmp_path / "whole", max_norm_ratio=1.5))
    assert found < 10
    assert sorted(path.name for path in folder.iterdir()) == ["mlp_neurons.h5", "resid.h5"]


def test_parts_that_are_there_are_not_computed_again(
    run: Callable[..., dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(stage, "write_store", fail)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped")
    with monkeypatch.context() as broken:
        broken.setattr(stage, "read_part", fail)
        resumed = contents(run(tmp_path / "stopped"))
    assert resumed == contents(run(tmp_path / "whole"))


@pytest.mark.parametrize("change", [{"layers": [1]}, {"context": 31}, {"drop_positions": 2}, {"sites": ["resid"]}])
def test_parts_of_other_settings_are_not_mixed_in(
    run: Callable[..., dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    def stop_after_two(self: parts.PartFolder, *args: Any) -> None:
        append(self, *args)
        if len(self.checkpoints) == 2:
            raise ZeroDivisionError

    append = parts.PartFolder.append
    with monkeypatch.context() as broken:
        broken.setattr(parts.PartFolder, "append", stop_after_two)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped")
    assert contents(run(tmp_path / "stopped", **change)) == contents(run(tmp_path / "whole", **change))


def test_parts_of_another_model_or_data_set_are_not_mixed_in(
    run: Callable[..., dict[str, Path]],
    tmp_path: Path,
    make_model: Callable[..., Path],
    make_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(stage, "write_store", fail)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped")
    other_model = make_model(tmp_path / "model", seed=1)
    other_data = make_dataset(tmp_path / "data", ["other text"] * 20)
    shutil.copytree(tmp_path / "stopped", tmp_path / "stopped too")
    for folder, change in (("stopped", {"model": other_model}), ("stopped too", {"data": other_data})):
        whole = contents(run(tmp_path / f"whole {folder}", **change))
        assert contents(run(tmp_path / folder, **change)) == whole


def test_a_full_disk_is_noticed_before_anything_is_written(
    run: Callable[..., dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(UnweaveError, match=r"tiny reads tiny-text needs .* GB but only 0\.00 GB are free"):
        run(tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": [0, 4]}, "layer 4: is missing, the model has blocks 0 to 3"),
        ({"context": 65}, "context: tiny reads at most 64 tokens: lower it"),
        ({"drop_positions": 32}, "no document is longer than the 32 dropped positions"),
        ({"data": Path("nowhere")}, "nowhere: not a readable data set"),
        ({"model": Path("nowhere")}, "nowhere: has no manifest.json"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    run: Callable[..., dict[str, Path]], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnweaveError, match=re.escape(message)) as error:
        run(tmp_path / "out", **change)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*"))


def test_values_that_the_stored_dtype_cannot_hold_stop_the_harvest(
    run: Callable[..., dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = reading._read_batch

    def overflowing(*args: Any) -> dict[HookPoint, torch.Tensor]:
        return {point: 1e6 * activation for point, activation in capture(*args).items()}

    monkeypatch.setattr(reading, "_read_batch", overflowing)
    with pytest.raises(UnweaveError, match="has values that float16 cannot hold"):
        run(tmp_path, store_dtype="float16")
    assert not list(tmp_path.glob("*.h5"))
