"""Commands, GPUs and ports of replicas."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from cuvee.deploy.devices import parse_devices, stated_devices
from cuvee.deploy.engines_file import Recipes, load_recipes
from cuvee.deploy.launches import Place, free_ports, launches_of, replicas_yaml
from cuvee.deploy.recipe import ENGINES, Recipe, engine_recipe
from cuvee.errors import InputError
from cuvee.profile.phases import Phase

A40, H100 = "NVIDIA A40", "NVIDIA H100 80GB HBM3"
DEVICES = {0: A40, 1: H100, 2: A40, 3: H100, 4: H100, 5: H100}
PLACE = Place("127.0.0.1", range(8100, 8200), {"llama-3-8b": "/models/it"})
VLLM = Recipes(ENGINES["vllm"])


def test_a_vllm_replica(plan):
    """What vLLM is told: model, address, parallelism, the limits of the engine that the plan was made with."""
    first, *others = launches_of(plan, VLLM, PLACE, DEVICES)
    assert first.shown() == (
        "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1"
        " vllm serve /models/it --served-model-name llama-3-8b --host 127.0.0.1 --port 8100"
        " --tensor-parallel-size 1 --pipeline-parallel-size 1 --max-num-seqs 1024 --max-num-batched-tokens 8192"
        " --gpu-memory-utilization 0.9 --kv-cache-dtype auto"
    )
    # by its own order, fastest first, CUDA would take H100 number 3 for the "2" of an A40
    assert [each.environment["CUDA_VISIBLE_DEVICES"] for each in others] == ["0", "2"]
    assert {each.environment["CUDA_DEVICE_ORDER"] for each in others} == {"PCI_BUS_ID"}
    assert [each.name for each in (first, *others)] == ["g1.0", "g2.0", "g2.1"]


def test_parallel_replicas_take_all_their_gpus(wide_plan):
    """Two stages of two GPUs are four of them; 17 and 15 layers are told, as vLLM would put 16 on each."""
    first = launches_of(wide_plan, VLLM, PLACE, DEVICES)[0]
    assert first.environment == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1,3,4,5", "VLLM_PP_LAYER_PARTITION": "17,15",
    }  # fmt: skip
    words = first.command
    assert words[words.index("--tensor-parallel-size") + 1] == "2"
    assert words[words.index("--pipeline-parallel-size") + 1] == "2"
    assert words[words.index("--kv-cache-dtype") + 1] == "fp8"


def test_no_gpu_twice(wide_plan):
    """Replicas side by side share none."""
    taken = [
        number
        for each in launches_of(wide_plan, VLLM, PLACE, DEVICES)
        for number in each.environment["CUDA_VISIBLE_DEVICES"].split(",")
    ]
    assert len(taken) == len(set(taken)) == 6


def test_too_few_gpus(plan):
    """The message has what there is, what is needed, and how to say what stands in."""
    with pytest.raises(InputError, match=r"1 A40, 1 H100-SXM; the plan takes 2 A40(.|\n)*--devices A40=0-1"):
        launches_of(plan, VLLM, PLACE, {0: "NVIDIA A40", 1: "NVIDIA H100 80GB HBM3"})


def test_what_nvidia_smi_prints():
    """Lines that are no GPU are left out."""
    assert parse_devices("0, NVIDIA L40S\n1, NVIDIA GeForce RTX 4090\nNo devices were found\n") == {
        0: "NVIDIA L40S", 1: "NVIDIA GeForce RTX 4090",
    }  # fmt: skip


def test_stated_gpus():
    """Numbers and ranges by type; a number twice is refused."""
    assert stated_devices(["H100=0-1,4", "a40=2"]) == {0: "H100-SXM", 1: "H100-SXM", 4: "H100-SXM", 2: "A40"}
    for wrong in ("A40", "A40=", "A40=x", "A40=3,3"):
        with pytest.raises(InputError):
            stated_devices([wrong])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phase": Phase.PREFILL}, "--no-disaggregate"),
        ({"spans_machines": True}, "spans machines"),
    ],
)
def test_what_one_machine_cannot_run(plan, change, words):
    """Replicas over several machines, and those that do one phase alone."""
    changed = replace(plan, groups=(replace(plan.groups[0], **change), *plan.groups[1:]))
    with pytest.raises(InputError, match=words):
        launches_of(changed, VLLM, PLACE, DEVICES)


def test_engines_file(tmp_path, plan):
    """A group's own recipe comes before that of its GPU type, and that before the default; processors go in turn."""
    (tmp_path / "engines.yaml").write_text("""\
version: 1
default: {command: "other --port {port}"}
gpus:
  a40:
    command: serve 'my model' --at {host}:{port} --copy {group}/{replica} --devices={devices}
    environment: {NAME: "{served_name}", BRACE: "{{}}"}
    cpus: ["0-1,4", "3"]
    max_concurrency: 4
groups: {g1: {command: "mine {port}", cpus: "2"}}
""")
    recipes = load_recipes(tmp_path / "engines.yaml", plan.groups, None)
    first, second, third = launches_of(plan, recipes, PLACE, {7: "A40", 9: "A40"})
    assert (first.command, first.cpus, first.environment) == (("mine", "8100"), (2,), {})
    assert second.command == ("serve", "my model", "--at", "127.0.0.1:8101", "--copy", "g2/0", "--devices=7")
    assert second.environment == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "7", "NAME": "llama-3-8b", "BRACE": "{}",
    }  # fmt: skip
    assert (second.cpus, third.cpus, third.max_concurrency) == ((0, 1, 4), (3,), 4)
    assert "max_concurrency: 4" in replicas_yaml([third])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "version: 1"),
        ("version: 2", "version"),
        ("version: 1\ngpus: {A41: {command: x}}", "A41"),
        ("version: 1\ngroups: {g9: {command: x}}", "a group of the plan: g1, g2"),
        ("version: 1\ngroups: {g1: {command: x, cups: '1'}}", "cups"),
        ("version: 1\ngroups: {g1: {command: x, cpus: '3-1'}}", "3-1"),
        ("version: 1\ngroups: {g1: {command: x}}", "nothing for group g2"),
        ('version: 1\ndefault: {command: "x \'y"}', "closing quotation"),
        ("version: 1\ndefault: {command: 'x {prot}'}", "prot"),
        ("version: 1\ndefault: {command: 'x {'}", "braces"),
        ("version: 1\n\tx", "cannot start any token"),
    ],
)
def test_engines_files_that_cannot_be_used(tmp_path, plan, text, words):
    """What is wrong is said with the file's name or the group's."""
    path = tmp_path / "engines.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        launches_of(plan, load_recipes(path, plan.groups, None), PLACE, {})


def test_engine_of_the_command_line():
    """A known name, or a template; a misspelt name is no command."""
    assert engine_recipe("vLLM") == ENGINES["vllm"]
    assert engine_recipe("x {port}") == Recipe("x {port}", uses_gpus=False)
    with pytest.raises(InputError, match="one of vllm, sglang"):
        engine_recipe("vlm")


def test_a_llama_cpp_replica_takes_as_many_sequences_as_it_can(plan):
    """The plan's 1024 are more than it can be told; without the option it would take 4, and the rest would wait."""
    words = launches_of(plan, Recipes(ENGINES["llama.cpp"]), PLACE, DEVICES)[0].command
    assert words[words.index("--parallel") + 1] == "256"


def test_ports_of_an_ipv6_address():
    """An address with colons is one of IPv6."""
    import socket

    try:
        with socket.socket(socket.AF_INET6) as other:
            other.bind(("::1", 0))
            other.listen()
            port = other.getsockname()[1]
            assert port not in free_ports("::1", port, 1)
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_two_fleets_at_once_take_different_ports():
    """Nobody listens yet while engines load: the first to ask keeps its ports, and can still listen on them."""
    import socket

    with ExitStack() as first, ExitStack() as second:
        one = free_ports("127.0.0.1", 23_000, 2, first)
        other = free_ports("127.0.0.1", 23_000, 2, second)
        assert not set(one) & set(other)
        with socket.socket() as engine:
            engine.bind(("127.0.0.1", one[0]))
            engine.listen()


def test_ports_that_are_in_use_are_left_out():
    """The next free ones are taken."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = free_ports("127.0.0.1", port, 2)
    assert port not in found
    assert len(set(found)) == 2
