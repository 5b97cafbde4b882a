"""Operations of a training step, counted by hand."""

import pytest
from torch import nn

from tests.benchmarks import limits


@pytest.mark.parametrize("groups, weights", [(1, 8 * 8 * 9), (8, 8 * 9)])
def test_a_step_is_three_times_what_a_convolution_takes_going_forward(groups, weights):
    """Each weight is used at each of 16 pixels, a multiplication and an addition; groups have fewer."""
    network = nn.Conv2d(8, 8, 3, padding=1, bias=False, groups=groups)
    assert limits.operations(network, 2, 8, 4, 4) == 3 * 2 * weights * 16
