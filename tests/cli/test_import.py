"""`cuvee import`: the table, the record, the file, and what is refused."""

import json

from tests.profile.imports.samples import vllm, write

SETUP = ("--gpu", "H100", "--tp", 1, "--model", "llama-3.1-8b", "--engine", "vllm", "--engine-version", "0.11")


def test_a_table_a_record_and_a_file(cuvee, tmp_path):
    """All three name the points and mark the doubtful one; `cuvee score` reads the file and leaves that out."""
    runs = [write(tmp_path, "long.json", vllm()), write(tmp_path, "short.json", vllm(max_concurrency=15, duration=5.0))]
    saved = tmp_path / "points.csv"
    table = cuvee("import", *runs, *map(str, SETUP), "--save", saved)
    record = cuvee("import", *runs, *map(str, SETUP), "--json")
    assert (table.code, record.code, record.err) == (0, 0, "")
    assert "2 load points read, 1 of them doubtful" in table.out
    assert "doubtful: short: a run of 5 s" in table.out
    assert "50 (45/90)" in table.out
    assert max(map(len, table.out.splitlines())) <= 100
    found = json.loads(record.out)
    assert [point["doubtful"] for point in found["points"]] == [False, True]
    assert found["points"][0]["ttft_s"] == {"mean": 0.05, "p50": 0.045, "p99": 0.09}
    assert found["saved"] is None
    scored = json.loads(cuvee("score", saved, "--json").out)
    assert [row["id"] for row in scored["comparisons"]] == ["long"]
    assert scored["doubtful"] == ["short"]


def test_files_are_not_overwritten(cuvee, tmp_path):
    """But with --force; and nothing is read before that is clear."""
    run, saved = write(tmp_path, "run.json", vllm()), write(tmp_path, "points.csv", "precious")
    refused = cuvee("import", tmp_path / "none.json", "--save", saved)
    assert (refused.code, saved.read_text()) == (2, "precious")
    assert "--force" in refused.err
    assert cuvee("import", run, *map(str, SETUP), "--save", saved, "--force").code == 0
    assert "long" not in saved.read_text()
    assert saved.read_text().startswith("id,group,gpu")


def test_a_clash(cuvee, tmp_path):
    """Ends with 2 and names both files; with --on-clash it is told and settled."""
    runs = [write(tmp_path, "a.json", vllm()), write(tmp_path, "b.json", vllm(mean_ttft_ms=60.0))]
    refused = cuvee("import", *runs, *map(str, SETUP))
    assert refused.code == 2
    assert "a.json and" in refused.err
    assert "50 and 60 ms TTFT" in refused.err
    settled = cuvee("import", *runs, *map(str, SETUP), "--on-clash", "mean")
    assert settled.code == 0
    assert "clash: " in settled.out
    assert cuvee("import", *runs, *map(str, SETUP), "--on-clash", "best").code == 2


def test_what_is_missing(cuvee, tmp_path):
    """Ends with 2 and the options that say it."""
    result = cuvee("import", write(tmp_path, "run.json", vllm()))
    assert result.code == 2
    assert "--gpu H100-SXM --tp 2" in result.err


def test_reports_for_others(cuvee, tmp_path):
    """`cuvee export-profile` writes a report for each point, which `cuvee import` reads without being told anything."""
    runs = [write(tmp_path, "a.json", vllm()), write(tmp_path, "b.json", vllm(max_concurrency=15))]
    points, folder = tmp_path / "points.csv", tmp_path / "reports"
    assert cuvee("import", *runs, *map(str, SETUP), "--save", points).code == 0
    done = cuvee("export-profile", points, "--save", folder)
    assert (done.code, sorted(path.name for path in folder.iterdir())) == (0, ["a.yaml", "b.yaml"])
    again = tmp_path / "again.csv"
    assert cuvee("import", *sorted(folder.iterdir()), "--save", again).code == 0
    assert again.read_text() == points.read_text()
    assert cuvee("export-profile", points, "--save", folder).code == 2
    assert cuvee("export-profile", points, "--save", folder, "--force").code == 0
    assert cuvee("export-profile", points, "--save", tmp_path / "one.yaml").code == 2
    assert cuvee("export-profile", points, "--save", folder, "--format", "other").code == 2
    assert cuvee("export-profile", runs[0], "--save", folder).code == 2


def test_profiles_for_others(cuvee, tmp_path):
    """A plan, a table of rates and results that do not say what served are exported together, with a setup."""
    plan = cuvee("plan", "--model", "llama-3-8b", "--budget", "2", "--json")
    table = "model,gpu,tensor_parallel_size,input_tokens,output_tokens,rate_req_per_s\nllama-3-8b,L4,1,500,100,4\n"
    files = [write(tmp_path, "plan.json", plan.out), write(tmp_path, "table.csv", table)]
    files.append(write(tmp_path, "run.json", vllm()))
    setup = write(tmp_path, "setup.yaml", "files: {run.json: {gpu: H100, tp: 1, model: llama-3.1-8b, engine: vllm}}")
    folder = tmp_path / "reports"
    done = cuvee("export-profile", *files, "--setup", setup, "--save", folder)
    assert done.code == 0, done.err
    reports = {path.name: path.read_text() for path in folder.iterdir()}
    rates = [text for name, text in reports.items() if name.startswith("g")]
    cells = [cell for group in json.loads(plan.out)["groups"] for cell in group["cells"]]
    assert len(rates) == len(cells)
    assert all("- estimated\n" in text and "estimated, not measured" in text for text in rates)
    assert "- measured\n" in reports["table.yaml"]
    assert "- measured\n" in reports["run.yaml"]
