"""LLVM IR -> machine code of this processor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm


@dataclass(frozen=True)
class Target:
    """A processor by LLVM's name and features; both empty: the one that runs this."""

    cpu: str = ""
    features: str = ""

    @staticmethod
    def chosen() -> Target:
        """The processor that the environment variable STEEPEST_CPU names (x86-64-v3 is AVX2), else the host."""
        return Target(os.environ.get("STEEPEST_CPU", ""))

    @property
    def permutes(self) -> int:
        """The size in bits of the registers in which an instruction picks by index: 512, 256 or 0. `Lanes` wants it."""
        features = (self.features or {"x86-64-v3": "+avx2", "x86-64-v4": "+avx512f"}.get(self.cpu, "")).split(",")
        if not self.cpu:
            features = _host()[1].split(",")
        return 512 if "+avx512f" in features else 256 if "+avx2" in features else 0


class Library:
    """The functions of one compiled module; they live as long as it."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where a function stands in memory."""
        return int(self._engine.get_function_address(name))


@cache
def _host() -> tuple[str, str]:
    """LLVM's name and features of this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _machine(target: Target) -> Any:
    """A new one for each engine, which takes it for its own and frees it: one shared would be freed twice."""
    cpu, features = _host()
    if target.cpu:
        cpu, features = target.cpu, target.features
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2, jit=True)


def build(text: str, target: Target) -> Library:
    """Machine code for the IR of a module."""
    machine = _machine(target)
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return Library(engine)


def assembly(text: str, target: Target) -> str:
    """The same in the processor's assembly language, to read."""
    module = llvm.parse_assembly(text)
    return str(_machine(target).emit_assembly(module))
