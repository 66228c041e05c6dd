"""Lanczos' method finds the outermost eigenvalues of known matrices, and bounds its errors."""

import numpy as np
import pytest
import torch

from recbole_samrec.analysis.hessian import estimate_density
from recbole_samrec.analysis.lanczos import run_lanczos
from tests.helpers.hessians import quadratic, wide


def test_tridiagonal__residuals_bound_the_errors_of_nodes():
    _, _, hessian = wide()
    _, matrix = run_lanczos(lambda v: hessian.numpy() @ v, np.ones(len(hessian)), 12, 1e-16)
    eigenvalues, nodes = torch.linalg.eigvalsh(hessian).numpy(), matrix.eigenvectors()[0]
    distances = np.abs(nodes[:, None] - eigenvalues).min(axis=1)
    assert (distances <= matrix.residuals() + 1e-9).all() and matrix.residuals().max() > 1
    shorter = run_lanczos(lambda v: hessian.numpy() @ v, np.ones(len(hessian)), 8, 1e-16)[1]
    np.testing.assert_array_equal(matrix.shorten(8).residuals(), shorter.residuals())


def test_run_lanczos__finds_no_eigenvalue_twice():
    loss, parameters, _ = quadratic(np.r_[1000.0, np.linspace(0, 1, 99)])
    found = estimate_density(loss, parameters, steps=60, probes=2)
    assert ((found.nodes > 500).sum(axis=1) == 1).all()


def test_run_lanczos__ends_early_in_an_invariant_subspace():
    diagonal = np.array([1.0, 2.0, 5.0, 7.0])
    start = np.array([1.0, 0.0, 1.0, 0.0])  # spans the eigenvectors of 1 and of 5
    _, matrix = run_lanczos(lambda vector: diagonal * vector, start, 4, 1e-12)
    nodes, vectors = matrix.eigenvectors()
    assert sorted(nodes) == pytest.approx([1, 5]) and vectors[0] ** 2 == pytest.approx([0.5, 0.5])
