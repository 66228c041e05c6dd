"""The page of ``gpu_check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = ("way and data", "precision", "ms a step", "GPU busy", "launches", "waits", "copies", "peak MB")


def render_page(content: dict[str, Any]) -> str:
    """Render the results as Markdown.

    Args:
        content: Content of the JSON file.
    """
    machine, parts = content["machine"], content["parts"]
    lines = ["# Check of a GPU machine", "", *describe(machine), ""]
    for part, title in (("checks", "Checks"), ("processes", "Two processes")):
        if part in parts:
            lines += [f"## {title}", "", *render_outcomes(parts[part]), ""]
    if "speed" in parts:
        lines += ["## Speed", "", *EXPLANATION, "", *render_table(COLUMNS, list_speed(parts["speed"])), ""]
        failed = {name: result for name, result in parts["speed"].items() if "failed" in result}
        lines += [*render_outcomes(failed), ""] if failed else []
    return "\n".join(lines)


EXPLANATION = (
    "A step's time is the mean of many steps with one wait at their end. Launches of kernels, waits of the host and",
    "copies to the GPU are those of one step, by torch's profiler; a copy from pageable memory is a wait, too.",
    "`GPU busy` is the share of the step's time in which a kernel or copy runs. RecBole's trainer runs with anomaly",
    "detection, which importing its models turns on; the line `without it` is the same training with it switched off.",
)


def describe(machine: dict[str, Any]) -> list[str]:
    """Describe the machine."""
    gpus = ", ".join(machine.get("gpus", [])) or "none (the CPU was used: the figures say nothing about a GPU)"
    lines = [f"- GPU: {gpus}"]
    if "cuda" in machine:
        native = "yes" if machine["bf16"] else "no"
        lines.append(
            f"- {machine['gpu_memory_mb']} MB of memory, capability {machine['capability']}, CUDA {machine['cuda']}, "
            f"cuDNN {machine['cudnn']}, native bf16: {native}"
        )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return [*lines, f"- host: {machine['host']}", f"- {versions}", f"- revision {machine['revision']}"]


def render_outcomes(results: dict[str, dict[str, Any]]) -> list[str]:
    """Render the checks that passed, failed and were skipped."""
    lines = []
    for name, result in results.items():
        outcome = next((f"**{key}**: {result[key]}" for key in ("failed", "skipped") if key in result), "passed")
        lines.append((name, outcome, f"{result.get('seconds', 0):.1f}"))
    return render_table(("check", "outcome", "seconds"), lines)


def list_speed(results: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """List the lines of the table of speed."""
    lines = []
    for name, result in results.items():
        for precision, found in result.items():
            if not isinstance(found, dict):
                continue
            if "failed" in found:
                lines.append((name, precision, found["failed"], *[""] * 5))
                continue
            busy = f"{100 * found['utilization']:.0f} %" if "utilization" in found else ""
            counts = [f"{found[key]:g}" if key in found else "" for key in ("launches", "waits", "copies")]
            memory = f"{found['peak_mb']:.0f}" if "peak_mb" in found else ""
            lines.append((name, precision, f"{1000 * found['step']:.2f}", busy, *counts, memory))
            if calm := found.get("step_without_anomaly_detection"):
                lines.append((f"{name}, without it", precision, f"{1000 * calm:.2f}", *[""] * 5))
    return lines


def render_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Render a table."""
    rows = [[str(cell).replace("|", "\\|") for cell in line] for line in (columns, *lines)]
    return [
        "| " + " | ".join(rows[0]) + " |",
        "| " + " | ".join(["---"] * len(columns)) + " |",
        *("| " + " | ".join(row) + " |" for row in rows[1:]),
    ]
