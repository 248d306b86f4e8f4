"""A llama.cpp server out of the wheel xllamacpp: one thread, two slots, the same answer each time.

usage: llama_server.py MODEL.gguf PORT ALIAS [--embed]
"""

import os
import signal
import sys

import xllamacpp


def parameters(model: str, port: int, alias: str) -> xllamacpp.CommonParams:
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.model_alias = {alias} if isinstance(wanted.model_alias, set) else [alias]
    wanted.hostnames = ["127.0.0.1"] if isinstance(wanted.hostnames, list) else "127.0.0.1"
    wanted.port = port
    wanted.n_gpu_layers = 0
    wanted.cpuparams.n_threads = 1
    wanted.cpuparams_batch.n_threads = 1
    # 2,048 tokens for each of two slots.
    wanted.n_parallel = 2
    wanted.n_ctx = 4096
    # A request is given up between two batches: small ones make a cancel in the prompt seen soon.
    wanted.n_batch = 64
    wanted.n_ubatch = 64
    # A cached prompt is evaluated in other batches, which moves the logits a little: without the
    # cache the answer at temperature 0 is the same each time.
    wanted.cache_prompt = False
    wanted.cache_ram_mib = 0
    # Comments on a stream that waits for the prompt to be read; the default is 30 s.
    wanted.sse_ping_interval = 1
    wanted.use_jinja = True
    wanted.warmup = False
    wanted.ui = False
    wanted.endpoint_metrics = True
    wanted.endpoint_slots = True
    return wanted


def main() -> None:
    model, port, alias, *more = sys.argv[1:]
    wanted = parameters(model, int(port), alias)
    if more == ["--embed"]:
        wanted.embedding = True
        wanted.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(wanted)
    print(f"listening on {server.listening_address}", flush=True)
    # The server's threads do not end by themselves.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
