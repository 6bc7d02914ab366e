#!/usr/bin/python3
"""Opens a checkpoint's state.h5 as one file with h5py and compares it with the exported model.safetensors.

    read_view.py CHECKPOINT EXPORTED

Prints one line of what it saw; fails with the first difference.
"""
import json
import pathlib
import struct
import sys

import h5py
import numpy


def safetensors(path):
    """Name -> array, for fp32 tensors."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    arrays = {}
    for name, facts in header.items():
        begin, end = facts["data_offsets"]
        assert facts["dtype"] == "F32", name
        arrays[name] = numpy.frombuffer(data[8 + length + begin : 8 + length + end], "<f4").reshape(facts["shape"])
    return arrays


def datasets(group):
    """Name -> dataset, of a whole subtree."""
    found = {}
    group.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def main(checkpoint, exported):
    checkpoint, exported = pathlib.Path(checkpoint), pathlib.Path(exported)
    expected = safetensors(exported / "model.safetensors")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    with h5py.File(checkpoint / "state.h5", "r") as state:
        assert sorted(state) == ["adamw", "weights"] and sorted(state["adamw"]) == ["first", "second"], sorted(state)
        for place in ("weights", "adamw/first", "adamw/second"):
            found = datasets(state[place])
            assert sorted(found) == sorted(expected), set(found) ^ set(expected)
            for name, array in expected.items():
                assert found[name].shape == array.shape and found[name].dtype == "<f4", (place, name)
                values = found[name][...]
                assert numpy.isfinite(values).all(), (place, name)
                if place == "weights":
                    assert values.tobytes() == array.tobytes(), name
                if place == "adamw/second":
                    assert (values >= 0).all(), name
        moved = sum(float(abs(item[...]).sum()) for item in datasets(state["adamw/first"]).values())
        assert moved > 0, "all first moments are zero"
        attributes = {key: value.decode() if isinstance(value, bytes) else value for key, value in state.attrs.items()}
        for key in ("fingerprint", "corpus_fingerprint", "step", "tokens", "profile", "format_version"):
            assert attributes[key] == manifest[key], (key, attributes[key], manifest[key])
        assert int(attributes["seed"]) == int(manifest["seed"])
        print(f"{len(expected)} tensors, step {attributes['step']}, fingerprint {attributes['fingerprint']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
