"""What gbstats 0.8.0 says of the cases on standard input, one JSON object a line."""
import json
import sys

from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import ProportionStatistic, SampleMeanStatistic
from gbstats.utils import check_srm


def statistic(arm, is_rate):
    n, total, squares = arm
    if is_rate:
        return ProportionStatistic(n=int(n), sum=total)
    return SampleMeanStatistic(n=int(n), sum=total, sum_squares=squares)


for line in sys.stdin:
    case = json.loads(line)
    if "counts" in case:
        print(json.dumps([float(check_srm([int(count) for count in case["counts"]], case["weights"]))]))
        continue
    a, b = statistic(case["a"], case["is_rate"]), statistic(case["b"], case["is_rate"])
    fixed = TwoSidedTTest(a, b, FrequentistConfig(difference_type="relative")).compute_result()
    sequence = SequentialTwoSidedTTest(
        a, b, SequentialConfig(difference_type="relative", sequential_tuning_parameter=case["tuning"])
    ).compute_result()
    found = [fixed.expected, *sequence.ci, sequence.p_value, *fixed.ci, fixed.p_value]
    print(json.dumps([float(value) for value in found]))
