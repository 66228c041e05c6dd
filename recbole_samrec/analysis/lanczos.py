"""Eigenvalues of a large symmetric matrix that is available only through products with vectors.

Plain linear algebra in double precision: the Lanczos method with full re-orthogonalization (Golub and Van Loan, "Matrix
Computations", 4th edition, section 10.3), and the search for the outermost eigenvalues with ARPACK.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

Array = np.ndarray[Any, Any]

Progress = Callable[[int, int], None]
"""Called after each product with the number of products done and the largest number there may be."""

_PROBE = 10  # products to find the size of the spectrum, the unit of residuals
_TAKES_RNG = "rng" in inspect.signature(eigsh).parameters  # since SciPy 1.17; before, restarts are drawn with one seed


@dataclass(frozen=True)
class Eigen:
    """Eigenvalues at one end of a spectrum.

    Attributes:
        values: Eigenvalues ``[k]``, the outermost first.
        vectors: Their unit vectors ``[k, n]``.
        residuals: ``|H v - value * v| / scale`` of each ``[k]``.
        converged: True where the residual is within the tolerance ``[k]``. Do not report a value that did not converge:
            it is a rough estimate, closer to the middle of the spectrum than its eigenvalue.
        scale: The largest absolute eigenvalue found, close to that of the matrix and never above it.
        products: Number of products computed.
    """

    values: Array
    vectors: Array
    residuals: Array
    converged: Array
    scale: float
    products: int

    @property
    def errors(self) -> Array:
        """``|H v - value * v|`` of each ``[k]``, an upper bound on the distance to the matrix's nearest eigenvalue."""
        return self.residuals * self.scale


@dataclass(frozen=True)
class Tridiagonal:
    """The tridiagonal matrix of one start vector.

    Attributes:
        diagonal: Its diagonal ``[m]``.
        beside: The entries beside the diagonal ``[m - 1]``.
        left: The entry that would be next beside it; 0 where the vectors span an invariant subspace.
    """

    diagonal: Array
    beside: Array
    left: float

    def eigenvectors(self) -> tuple[Array, Array]:
        """Compute the eigenvalues ``[m]``, ascending, and the eigenvectors in the columns ``[m, m]``."""
        return cast(tuple[Array, Array], eigh_tridiagonal(self.diagonal, self.beside))

    def residuals(self) -> Array:
        """Compute the residual of each eigenvalue ``[m]``, a bound on its distance to an eigenvalue of the matrix."""
        return cast(Array, self.left * np.abs(self.eigenvectors()[1][-1]))

    def shorten(self, steps: int) -> Tridiagonal:
        """Return the matrix of the first steps; an exact matrix, with nothing left, is returned whole."""
        if self.left == 0 or steps >= len(self.diagonal):
            return self
        return Tridiagonal(self.diagonal[:steps], self.beside[: steps - 1], float(self.beside[steps - 1]))


class SymmetricMatrix:
    """A symmetric matrix given by its product with a vector ``[n]``; counts the products.

    Args:
        product: Computes the product with a double precision vector.
        size: The number of rows, n.
        precision: Relative accuracy of a product.
        total: Expected largest number of products.
        progress: Called after each product.
    """

    def __init__(
        self,
        product: Callable[[Array], Array],
        size: int,
        precision: float,
        total: int,
        progress: Progress | None = None,
    ) -> None:
        self._product, self._total, self._progress = product, total, progress
        self.size, self.precision, self.products = size, precision, 0

    def __call__(self, vector: Array) -> Array:
        """Compute the product with a vector."""
        product = self._product(vector)
        self.products += 1
        if self._progress is not None:
            self._progress(self.products, max(self._total, self.products))
        return product


def find_outermost(
    matrix: SymmetricMatrix, k: int, smallest: bool, tolerance: float, max_products: int, seed: int
) -> Eigen:
    """Find the k largest or smallest eigenvalues of a symmetric matrix.

    Lanczos from one start vector may find an eigenvalue that occurs several times only once. The eigenvalues that
    ARPACK found are therefore removed from the matrix, and the rest is searched from another start until no larger one
    is found. A matrix of at most ``max(20, 2 * k + 1)`` rows is built and solved densely. Memory: three times as many
    vectors as that number.

    Args:
        matrix: The matrix.
        k: Number of eigenvalues, from 1 to n.
        smallest: The smallest ones instead of the largest.
        tolerance: Largest residual, relative to the largest absolute eigenvalue, of a value that counts as converged.
        max_products: Largest number of products, but never less than n where the matrix is built, and otherwise enough
            for one restart: 72 and k up to k = 9.
        seed: Seed of the start vectors.

    Returns:
        Values, vectors, residuals and the convergence of each.

    Raises:
        ValueError: k is out of its range.
    """
    if not 1 <= k <= matrix.size:
        raise ValueError(f"k must be from 1 to the number of weights, {matrix.size}, not {k}")
    sign = -1.0 if smallest else 1.0
    if matrix.size <= _subspace(k):
        return _dense(matrix, k, sign, tolerance)
    search = _Search(matrix, k, sign, tolerance, max_products, np.random.default_rng(seed))
    search.run()
    return search.result()


def run_lanczos(
    product: Callable[[Array], Array], start: Array, steps: int, precision: float
) -> tuple[Array, Tridiagonal]:
    """Compute the tridiagonal matrix of a symmetric matrix, with full re-orthogonalization.

    Args:
        product: Computes the product of the matrix and a vector ``[n]``.
        start: The first vector.
        steps: Largest number of products; fewer are computed if their vectors span an invariant subspace.
        precision: Relative accuracy of a product.

    Returns:
        The orthonormal vectors ``[m, n]`` and the tridiagonal matrix.
    """
    basis, diagonal, beside = np.empty((steps, len(start))), np.empty(steps), np.empty(steps)
    basis[0] = start / np.linalg.norm(start)
    for step in range(steps):
        image = product(basis[step])
        diagonal[step] = basis[step] @ image
        known = basis[: step + 1]
        for _ in range(2):  # one pass leaves rounding errors
            image = image - (known @ image) @ known
        beside[step] = np.linalg.norm(image)
        largest = max(np.abs(diagonal[: step + 1]).max(), beside[:step].max(initial=0))
        left = float(beside[step]) if beside[step] > 100 * precision * largest else 0.0
        if step + 1 == steps or not left:
            break
        basis[step + 1] = image / beside[step]
    return basis[: step + 1], Tridiagonal(diagonal[: step + 1], beside[:step], left)


class _Search:
    """The search for the k largest eigenvalues of ``sign * H``.

    Args:
        matrix: The matrix H.
        k: Number of eigenvalues.
        sign: 1, or -1 for the smallest ones.
        tolerance: Largest relative residual.
        max_products: Largest number of products.
        random: Draws start vectors.
    """

    def __init__(
        self,
        matrix: SymmetricMatrix,
        k: int,
        sign: float,
        tolerance: float,
        max_products: int,
        random: np.random.Generator,
    ) -> None:
        self._matrix, self._k, self._sign, self._tolerance = matrix, k, sign, tolerance
        self._max_products, self._random = max(max_products, _PROBE + _cycle(k) + k), random
        self._scale: float = 0.0
        self._values, self._vectors = np.empty(0), np.empty((0, matrix.size))

    def run(self) -> None:
        """Find the size of the spectrum, then eigenvalues until no larger one is left or the products are used up."""
        self._scale = np.abs(self._ritz(_PROBE)[0]).max()
        subspace = _subspace(self._k)
        while True:
            self._add(*self._arpack(max(self._k - len(self._values), 1), subspace))
            if len(self._values) == self._k == 1:
                return  # its multiplicity does not change it
            left, vectors = self._ritz(subspace)
            if self._complete(left.max()):
                return
            if self._room() < _cycle(self._k):
                return self._add(left, vectors)

    def result(self) -> Eigen:
        """Return the k largest eigenvalues with their residuals, at one more product each."""
        vectors = self._vectors[np.argsort(-self._values)[: self._k]]
        products = np.stack([self._matrix(v) for v in vectors])
        return _eigen(vectors, products, self._sign, self._scale, self._tolerance, self._matrix.products)

    def _complete(self, left: float) -> bool:
        """Return True if there are k eigenvalues and none is smaller than the largest one left."""
        if len(self._values) < self._k:
            return False
        return bool(left <= np.sort(self._values)[-self._k] + self._tolerance * self._scale)

    def _room(self) -> int:
        """Return the number of products left, not counting those that :meth:`result` needs."""
        return self._max_products - self._matrix.products - self._k

    def _add(self, values: Array, vectors: Array) -> None:
        self._values = np.concatenate([self._values, values])
        self._vectors = np.concatenate([self._vectors, vectors])

    def _outside(self, vector: Array) -> Array:
        """Compute the part of a vector that is orthogonal to the eigenvectors found."""
        return vector - (self._vectors @ vector) @ self._vectors

    def _rest(self, vector: Array) -> Array:
        """Compute the product with ``sign * H`` from which the eigenvectors found are removed."""
        return self._outside(self._sign * self._matrix(self._outside(vector)))

    def _ritz(self, steps: int) -> tuple[Array, Array]:
        """Estimate eigenvalues of the rest, ascending, from a new start; none is above the largest."""
        start = self._outside(self._random.standard_normal(self._matrix.size))
        basis, tridiagonal = run_lanczos(self._rest, start, steps, self._matrix.precision)
        values, weights = tridiagonal.eigenvectors()
        return values, weights.T @ basis

    def _arpack(self, k: int, subspace: int) -> tuple[Array, Array]:
        """Compute the largest eigenvalues of the rest that converge."""
        # ARPACK compares a residual with its own eigenvalue, and never ends for one that is zero up to rounding.
        # After a shift by the size of the spectrum, the eigenvalues are between 0 and twice that size.
        shift = self._scale or 1.0

        def shifted(vector: Array) -> Array:
            inside = self._outside(vector)
            return self._rest(vector) + shift * inside - shift * (vector - inside)

        size = self._matrix.size
        restarts = 1 + (self._room() - _cycle(self._k)) // (subspace - k)
        settings = {"rng": self._random} if _TAKES_RNG else {}
        try:
            values, vectors = eigsh(
                LinearOperator((size, size), matvec=shifted, dtype=np.float64),
                k=k,
                which="LA",
                v0=self._outside(self._random.standard_normal(size)),
                ncv=subspace,
                maxiter=restarts,
                tol=self._tolerance / 2,
                **settings,
            )
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
        return values - shift, vectors.T


def _subspace(k: int) -> int:
    """Return the number of vectors between ARPACK's restarts."""
    return max(20, 2 * k + 1)


def _cycle(k: int) -> int:
    """Return the number of products for ARPACK's first vectors, one restart, and the search of the rest."""
    return 3 * _subspace(k) + 2


def _dense(matrix: SymmetricMatrix, k: int, sign: float, tolerance: float) -> Eigen:
    rows = np.stack([matrix(unit) for unit in np.eye(matrix.size)])
    values, vectors = np.linalg.eigh(sign * (rows + rows.T) / 2)
    vectors = vectors.T[::-1][:k]
    return _eigen(vectors, vectors @ rows, sign, np.abs(values).max(), tolerance, matrix.products)


def _eigen(vectors: Array, products: Array, sign: float, scale: float, tolerance: float, spent: int) -> Eigen:
    """Compute eigenvalues as the Rayleigh quotients of vectors ``[k, n]`` with their products ``[k, n]``."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = (vectors * products).sum(axis=1)
    order = np.argsort(-sign * values)
    values, vectors, products = values[order], vectors[order], products[order]
    scale = float(max(scale, np.abs(values).max()))
    residuals = np.linalg.norm(products - values[:, None] * vectors, axis=1) / (scale or 1.0)
    return Eigen(values, vectors, residuals, residuals <= tolerance, scale, spent)
