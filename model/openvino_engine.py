"""The network in OpenVINO on the processor: the quickest where its products run in int8 or bf16."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from model.engine import ONNX_FILE, Collector, Reading, layout_of, usable_cores
from model.openvino_int8 import INT8_GRAPH, INT8_WEIGHTS, piece_of
from model.tokens import TokenizedComment
from model.turns import Turns

GRAPH_FILE = "openvino.xml"
WEIGHTS_FILE = "openvino.weights"
Precision = Literal["f32", "bf16", "int8"]
# Shapes whose compiled products are kept; the oldest go. Those that come back are made quickly from what
# oneDNN itself keeps.
_CACHE = 64
# Tokens of a batch. The buffers of each stream grow with them, and more are read no faster.
_BATCH_TOKENS = 384
_STREAMS = 2


class OpenVinoEngine:
    """The network in OpenVINO.

    Parameters
    ----------
    folder
        A model folder with ``openvino.xml`` and its weights, or with ``model.onnx`` alone, which takes
        longer to load.
    pad_id
        The tokenizer's padding token.
    threads
        Processor threads; all cores that the process may use where None.
    precision
        Of the products. With int8 what is no product with weights is read in bf16, as with bf16. The sums are
        float32 or int32.
    streams
        Batches that are read at the same time, which share the threads; two where None, or one of one thread.
        Within a batch the threads wait for one another at every product, so beside other work, such as that
        of a server, two read up to two fifths more than one; a lone comment waits a tenth longer.

    Raises
    ------
    ModelError
        If the files are missing or broken.
    """

    def __init__(
        self,
        folder: Path,
        pad_id: int,
        threads: int | None = None,
        precision: Precision = "f32",
        streams: int | None = None,
    ) -> None:
        openvino = _library()
        threads = threads or usable_cores()
        streams = streams or min(_STREAMS, threads)
        whole = precision == "int8"
        graph, weights = (
            folder / name for name in ((INT8_GRAPH, INT8_WEIGHTS) if whole else (GRAPH_FILE, WEIGHTS_FILE))
        )
        if not graph.is_file() and (whole or not (folder / ONNX_FILE).is_file()):
            needed = INT8_GRAPH if whole else ONNX_FILE
            raise ModelError(f"the model was not exported for serving (no {needed})", file=folder)
        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32" if precision == "f32" else "bf16",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "CPU_RUNTIME_CACHE_CAPACITY": _CACHE,
            # Several workers would all pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            found = (
                core.read_model(str(graph), str(weights))
                if graph.is_file()
                else core.read_model(str(folder / ONNX_FILE))
            )
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = piece_of(found) if whole else 0
            self._exact = "contribution" in {output.get_any_name() for output in found.outputs}
            self._network: Any = core.compile_model(found, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError for every fault of a file, and others
            raise ModelError("the exported network cannot be loaded by OpenVINO", file=folder) from error
        del found
        inputs = {one.get_any_name() for one in self._network.inputs}
        self.layout = layout_of(inputs, pad_id, _BATCH_TOKENS, few=True)
        self._part = "contribution" if self._exact else "attention"
        self._turns = Turns([self._network.create_infer_request() for _ in range(streams)])
        # The thread that reads works too.
        self._helpers = ThreadPoolExecutor(max(1, streams - 1), "reading")
        self._streams = streams
        forget_mapped(weights)

    @property
    def precision(self) -> str:
        """The precision that the products really have: a processor without bf16 has none."""
        return str(self._network.get_property("INFERENCE_PRECISION_HINT").to_string())

    def read(self, comments: Sequence[TokenizedComment]) -> Reading:
        """Read comments in batches; other threads take turns with it, batch by batch."""
        collected = Collector(comments, self._exact)
        ids = [comment.ids for comment in comments]
        left = deque(self.layout.plan([len(one) for one in ids]))
        helpers = [
            self._helpers.submit(self._read_all, left, ids, collected)
            for _ in range(min(self._streams, len(left)) - 1)
        ]
        self._read_all(left, ids, collected)
        for helper in helpers:
            if not helper.cancel():  # it may wait behind those of another reader, and nothing is left for it
                helper.result()
        return collected.reading()

    def _read_all(self, left: deque[Any], ids: Sequence[NDArray[np.int64]], collected: Collector) -> None:
        while left:
            try:
                batch = left.popleft()
            except IndexError:  # another thread was quicker
                return
            inputs = self.layout.inputs(batch, ids)
            try:
                with self._turns.take() as request:
                    request.infer(inputs, share_inputs=True)
                    scores, part = request.get_tensor("logits").data, request.get_tensor(self._part).data
                    collected.add(batch.rows, scores, part)
            except BaseException:
                left.clear()  # nobody will look at the rest
                raise


def _library() -> Any:
    try:
        import openvino
    except ImportError as error:  # there is no build of it for every machine
        raise ModelError("OpenVINO cannot be loaded on this machine") from error
    return openvino


def write_openvino(folder: Path) -> None:
    """Write ``openvino.xml`` and its weights from a folder's ``model.onnx``, in full precision.

    Through `openvino.Core`, since `openvino.convert_model` reports its use to its makers.

    Raises
    ------
    ModelError
        If OpenVINO does not understand the network.
    """
    openvino = _library()
    graph = folder / GRAPH_FILE
    try:
        network = openvino.Core().read_model(str(folder / ONNX_FILE))
        openvino.save_model(network, str(graph), compress_to_fp16=False)
        del network
        graph.with_suffix(".bin").replace(folder / WEIGHTS_FILE)
    except Exception as error:
        raise ModelError("OpenVINO does not understand the exported network", file=folder) from error


def forget_mapped(path: Path) -> None:
    """Let the system take back the pages of a mapped file that were read once, at loading.

    The engine keeps its own, repacked weights; the file stays mapped and would count twice. Where the
    system cannot do it nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        libc = ctypes.CDLL(None)
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            parts = line.split(None, 5)
            if len(parts) == 6 and parts[5] == str(path.resolve()):
                start, end = (int(number, 16) for number in parts[0].split("-"))
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_PAGEOUT)


_MADV_PAGEOUT = 21  # since Linux 5.4; the pages come back from the file when they are needed
