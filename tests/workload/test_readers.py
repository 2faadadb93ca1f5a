"""Trace files in: formats, rows left out, and files that cannot be used."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.errors import CuveeError, InputError
from cuvee.workload import ColumnNames, load_trace
from cuvee.workload.rows import ROWS_PER_BATCH

LENGTHS = "input_tokens,output_tokens\n"


def test_azure_2023_times_have_seven_decimals(write):
    """Azure 2023: the time is the span from the first row, and columns are found by name."""
    trace = load_trace(
        write(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            "2023-11-16 18:15:46.6805900,374,44\n"
            "2023-11-16 18:15:50.9951690,396,109\n"
        )
    )
    assert trace.input_tokens.tolist() == [374, 396]
    assert trace.output_tokens.tolist() == [44, 109]
    assert trace.arrival_s is not None
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 4.314579], abs=1e-6)


def test_azure_2024_times_carry_a_zone(write):
    """Azure 2024: times with +00:00 read as UTC, with or without decimals."""
    trace = load_trace(
        write(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            "2024-05-10 00:00:00.009930+00:00,2162,5\n"
            "2024-05-10 00:00:01+00:00,2399,6\n"
        )
    )
    assert trace.arrival_s is not None
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 0.99007], abs=1e-6)


def test_mixed_zones_are_one_clock(write):
    """A time without a zone is UTC, so 12:00 and 14:00+02:00 are the same instant."""
    trace = load_trace(
        write("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 12:00:00,1,1\n2024-05-10 14:00:00+02:00,2,2\n")
    )
    assert trace.arrival_s is not None
    assert trace.arrival_s.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        (
            "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "5,12,3.1,ChatGPT,472,18,490,Conversation log",
            "45,,2.0,GPT-4,87,0,87,API log",
        ),
        (
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "5,ChatGPT,472,18,490,Conversation log",
            "45,GPT-4,87,0,87,API log",
        ),
    ],
)
def test_burstgpt_with_and_without_sessions(write, header, first, second):
    """BurstGPT: both forms give models; zero answer tokens mark a failed request, left out and counted."""
    trace = load_trace(write(f"{header}\n{first}\n{second}\n"))
    assert (trace.num_requests, trace.model_names) == (1, ("ChatGPT",))
    assert trace.num_skipped == {"zero output tokens": 1}


def test_mooncake_times_are_milliseconds(write):
    """Mooncake: JSONL, milliseconds, compressed or not; numbers of blocks that no size explains are left out."""
    text = (
        '{"timestamp":0,"input_length":6758,"output_length":500,"hash_ids":[0,1]}\n\n'
        '{"timestamp":3000,"input_length":7322,"output_length":490,"hash_ids":[0]}\n'
    )
    for name in ("trace.jsonl", "trace.jsonl.gz"):
        trace = load_trace(write(text, name))
        assert trace.name == "trace"
        assert trace.input_tokens.tolist() == [6758, 7322]
        assert trace.arrival_s is not None
        assert trace.arrival_s.tolist() == [0.0, 3.0]
        assert trace.prefixes is None
        assert "of no one size" in trace.notes[0]


def test_mooncake_tells_which_prompts_begin_alike(write):
    """Blocks stay with their requests when these are sorted; a row may lack them, and their size is found out.

    Three blocks of 40 tokens: 16 a block, not the usual 512, which would be one.
    """
    text = (
        '{"timestamp":3000,"input_length":40,"output_length":5,"hash_ids":[7,8,9]}\n'
        '{"timestamp":2000,"input_length":30,"output_length":5}\n'
        '{"timestamp":1000,"input_length":30,"output_length":5,"hash_ids":[7,1]}\n'
    )
    trace = load_trace(write(text, "trace.jsonl"))
    assert trace.prefixes is not None
    assert trace.prefixes.block_tokens == 16
    assert trace.prefixes.first.tolist() == [0, 2, 2, 5]
    assert trace.prefixes.ids.tolist() == [7, 1, 7, 8, 9]
    turned = trace.prefixes.of(np.array([2, 1, 2]))
    assert (turned.first.tolist(), turned.ids.tolist()) == ([0, 3, 3, 6], [7, 8, 9, 7, 8, 9])


@pytest.mark.parametrize("blocks", ['"a"', "[-1]", "[0.5]", "7", '[{"a": 1}]', f"[{2**62}]"])
def test_numbers_of_blocks_are_whole_numbers(write, blocks):
    """The message names the line and the column."""
    text = f'{{"timestamp":0,"input_length":9,"output_length":5,"hash_ids":{blocks}}}\n'
    with pytest.raises(InputError, match=r"1, column 'hash_ids'"):
        load_trace(write(text, "trace.jsonl"))


def test_images_count_as_input(write):
    """ServeGen multimodal: input is text plus image tokens; a request of images alone is kept."""
    trace = load_trace(
        write(
            "arrival_s,client,text_tokens,images,image_tokens,output_tokens\n"
            "0.5,14,50,1,6,20\n0.75,14,0,1,16,22\n1.0,14,,1,16,22\n"
        )
    )
    assert trace.input_tokens.tolist() == [56, 16]
    assert trace.arrival_s is not None
    assert trace.arrival_s.tolist() == [0.0, 0.25]
    assert trace.num_skipped == {"missing input tokens": 1}


def test_lengths_without_arrivals_have_no_rate(write):
    """A set of lengths has no arrivals and no rate, and says so."""
    trace = load_trace(write(LENGTHS + "6,34\n6,9\n"))
    assert trace.arrival_s is None
    assert trace.rate_req_per_s is None
    assert trace.notes == ("the file gives no arrival times: lengths only",)


def test_any_columns_by_name(write):
    """Columns named by the user are read from any CSV, in any order and unit."""
    columns = ColumnNames("p", "c", arrival="t", model="who", arrival_unit="ms")
    trace = load_trace(write('c,p,t,who,x\n7,5,1000,"a, b",\n8,6,1250,,\n'), columns=columns, name="mine")
    assert trace.name == "mine"
    assert trace.input_tokens.tolist() == [5, 6]
    assert trace.model_names == ("a, b", "unnamed")
    assert trace.rate_req_per_s == pytest.approx(4.0)


def test_unsorted_arrivals_are_sorted_and_noted(write):
    """Rows are put in order of arrival; equal arrivals keep the order of the file."""
    trace = load_trace(write("arrival_s,input_tokens,output_tokens\n9,1,1\n3,2,1\n9,3,1\n3,4,1\n"))
    assert trace.input_tokens.tolist() == [2, 4, 1, 3]
    assert trace.arrival_s is not None
    assert trace.arrival_s.tolist() == [0, 0, 6, 6]
    assert trace.notes == ("2 rows stood after a later arrival: sorted by arrival",)


def test_unusable_rows_are_counted_by_reason(write):
    """Zero, missing and negative tokens and missing arrivals are left out under their first reason."""
    trace = load_trace(write("arrival_s,input_tokens,output_tokens\n0,0,5\n1,,5\n2,-1,0\n3,5,0\n,5,5\n5, 12.0 ,1e1\n"))
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([12], [10])
    assert trace.num_skipped == {
        "zero input tokens": 1,
        "missing input tokens": 1,
        "negative input tokens": 1,
        "zero output tokens": 1,
        "missing arrival": 1,
    }


def test_byte_order_mark_blank_lines_and_windows_newlines(write):
    """What spreadsheets write is read: a byte-order mark, CRLF, blank lines, a missing last newline."""
    trace = load_trace(write("\ufeff\r\ninput_tokens,output_tokens\r\n\r\n5,6\r\n  \r\n7,8"))
    assert trace.input_tokens.tolist() == [5, 7]


def test_batches_join_without_a_seam(write):
    """A file longer than one batch gives each row once, in order."""
    num_rows = 2 * ROWS_PER_BATCH + 1
    trace = load_trace(write(LENGTHS + "".join(f"{row},1\n" for row in range(1, num_rows + 1))))
    assert np.array_equal(trace.input_tokens, np.arange(1, num_rows + 1))


@pytest.mark.parametrize(
    "cell",
    ["abc", "NaN", "inf", "1e300", "12.5", "100000001", "9007199254740993", "1_0", "١٢", "9" * 5000, "0x10"],
)
def test_a_cell_that_is_no_count_is_named(write, cell):
    """The message names file, line and column of a cell that is no usable token count."""
    path = write(f"{LENGTHS}5,6\n\n7,{cell}\n")
    with pytest.raises(InputError, match=r"trace.csv:4, column 'output_tokens'"):
        load_trace(path)


@pytest.mark.parametrize("cell", ["soon", "nan", "inf", "1e300", "1_0"])
def test_an_arrival_that_is_no_time_is_named(write, cell):
    """The message names file, line and column of an arrival that is no finite time."""
    path = write(f"arrival_s,input_tokens,output_tokens\n1,5,6\n{cell},7,8\n")
    with pytest.raises(InputError, match=r"trace.csv:3, column 'arrival_s'"):
        load_trace(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no content"),
        ("\n \n", "no content"),
        (LENGTHS, "no usable request .no row after the header"),
        (LENGTHS + "0,5\n", "no usable request .1 with zero input tokens"),
        (LENGTHS + "1,2\n1,2,3\n", "trace.csv:3: 3 cells"),
        (LENGTHS + "1\n", "trace.csv:2: 1 cells"),
        (LENGTHS + '1,"2\n', "trace.csv:2: "),
        (LENGTHS + '1,"2"x\n', "trace.csv:2: "),
        ('input_tokens,"output\n', "unexpected end"),
        (LENGTHS + "1," + "2" * 200_000 + "\n", "trace.csv:2: field larger"),
        ("a,b\n1,2\n", "trace.csv:1: columns 'a', 'b'"),
        ("input_tokens,output_tokens,input_tokens\n1,2,3\n", "stands 2 times"),
        (LENGTHS.encode() + b"1,\xff\n", "trace.csv:2"),
        (b"\x1f\x8b\x08broken", "broken"),
        ('{"input_length": 5,\n', "trace.csv:1: "),
        ('{"input_length":1,"output_length":2,"timestamp":0}\n[1]\n', "trace.csv:2: a list"),
        ('{"input_length":1,"output_length":true,"timestamp":0}\n', "column 'output_length': 'true'"),
        ('{"input_length":NaN,"output_length":2,"timestamp":0}\n', "column 'input_length': 'NaN'"),
        ('{"input_length":{},"output_length":2,"timestamp":0}\n', "column 'input_length': '{}'"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_malformed_files_are_refused(write, content, message):
    """A file that is no trace is refused with what arrived, what was expected and what to do."""
    with pytest.raises(InputError, match=message) as caught:
        load_trace(write(content))
    assert "expected: " in str(caught.value)


def test_an_unknown_header_says_what_can_be_done_on_the_command_line(write):
    """Names to rename to, and who takes other names. Tempting: a call in Python, from a command that is none."""
    with pytest.raises(InputError, match="columns 'a', 'b'") as caught:
        load_trace(write("a,b\n1,2\n"))
    assert "--input-column" in caught.value.remedy
    assert "ColumnNames" not in caught.value.remedy


def test_a_named_column_that_is_missing(write):
    """Naming a column the file has not lists those it has."""
    with pytest.raises(InputError, match="no column 'prompt'") as caught:
        load_trace(write(LENGTHS), columns=ColumnNames("prompt", "output_tokens"))
    assert "'input_tokens', 'output_tokens'" in caught.value.expected


@pytest.mark.parametrize("names", [{"arrival_unit": "h"}, {"model": ""}, {"input_tokens": ()}])
def test_column_names_are_checked(names):
    """An unknown unit or an empty name is refused when it is written, not when a file is read."""
    with pytest.raises(InputError):
        ColumnNames(**{"input_tokens": "a", "output_tokens": "b", **names})


HEADERS = st.sampled_from(
    [
        b"",
        b"input_tokens,output_tokens\n",
        b"arrival_s,input_tokens,output_tokens\n1,2,3\n",
        b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,1,1\n",
        b'{"timestamp":0,"input_length":1,"output_length":1}\n',
        b"\x1f\x8b",
    ]
)
CELLS = st.text(alphabet='0123456789-+:.,eE_"\n\r {}[]TZWnulabt\x00é', max_size=60).map(str.encode)


@settings(max_examples=200, deadline=None)
@given(header=HEADERS, body=st.binary(max_size=200) | CELLS)
def test_arbitrary_bytes_raise_nothing_else(header, body):
    """Whatever a file holds, it gives a trace or an error of this package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        path.write_bytes(header + body)
        try:
            trace = load_trace(path)
        except CuveeError:
            return
    assert min(trace.input_tokens.min(), trace.output_tokens.min()) >= 1


@pytest.mark.parametrize(
    ("name", "num_requests", "mean_input", "mean_output"),
    [
        ("azure2023_conv.csv.gz", 19_366, 1155, 211),
        ("azure2023_code.csv.gz", 8_819, 2048, 28),
        ("mooncake_synthetic.jsonl.gz", 3_993, 15_325, 149),
        ("servegen_mm_image_1day_sample.csv.gz", 61_235, 561 + 865, 129),
        ("sharegpt_lengths.csv.gz", 82_814, 74, 229),
    ],
)
def test_shared_traces_read_as_their_table_says(shared_trace, name, num_requests, mean_input, mean_output):
    """Rows and mean lengths of the shared traces are those their own table states."""
    trace = load_trace(shared_trace(name))
    assert trace.num_requests + sum(trace.num_skipped.values()) == num_requests
    assert trace.input_tokens.mean() == pytest.approx(mean_input, abs=1.0)
    assert trace.output_tokens.mean() == pytest.approx(mean_output, abs=1.0)
