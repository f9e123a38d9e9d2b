"""The variance of a metric over the choice of patients, from each example's influence on it.

No replicates, hence no Monte-Carlo noise: the sandwich variance of a clustered sample.
"""

import numpy as np
from numpy.typing import NDArray


def influence_by_patient(influence: NDArray[np.float64], patients: NDArray[np.str_]) -> NDArray[np.float64]:
    """What each patient adds: the sum over its images.

    Args:
      influence: (n,) of the examples.
      patients: (n,) the patient of each.

    Returns:
      (C,) in the order of the patients' names.
    """
    names, patient_of_image = np.unique(patients, return_inverse=True)
    summed = np.zeros(len(names))
    np.add.at(summed, patient_of_image, influence)
    return summed


def variance_over_patients(by_patient: NDArray[np.float64], resting_on: int) -> float:
    """Sampling variance of a value whose influences, summed by patient, are these.

    r / (r - 1) times the sum of squares. r is the number of patients of the rarest class, from which
    the degrees of freedom are counted too. So the variance of a ROC area is at least that of DeLong et
    al. (1988), whose factors are those of each class, and equals it where the classes are of one size;
    with several images a patient it is Obuchowski's (1997), whose cross term has the factor of all
    patients, up to the difference of these factors.

    Args:
      by_patient: (C,) summing to 0.
      resting_on: r, from 2 to C.
    """
    return float(by_patient @ by_patient) * resting_on / (resting_on - 1)


def patients_behind(by_patient: NDArray[np.float64]) -> float:
    """How many patients the variance effectively rests on: (sum of squares)^2 / sum of fourth powers.

    Kish's (1965) effective number for shares of the variance: C where all contribute alike, C / 3
    where influences are normal, 2 where two patients alone differ. 0 where none does.
    """
    largest = np.abs(by_patient).max()
    if largest == 0:
        return 0.0
    squares = (by_patient / largest) ** 2  # of the largest, so that nothing vanishes when squared
    return float(squares.sum() ** 2 / (squares @ squares))
