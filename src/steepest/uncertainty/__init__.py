"""What the data leave open: covariance, bands, intervals by profile, and how well a formula does against others."""

from .covariance import Uncertainty as Uncertainty
from .covariance import check_errors as check_errors
from .covariance import correlation as correlation
from .covariance import quantile as quantile
from .covariance import uncertainty as uncertainty
