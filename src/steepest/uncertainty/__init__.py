"""What the data leave open: covariance, bands, intervals by profile, and how well a formula does against others."""

from .bands import spread_parts as spread_parts
from .covariance import Uncertainty as Uncertainty
from .covariance import check_errors as check_errors
from .covariance import correlation as correlation
from .covariance import quantile as quantile
from .covariance import significance as significance
from .covariance import uncertainty as uncertainty
from .likelihood import criteria as criteria
from .likelihood import log_likelihood as log_likelihood
from .likelihood import r_squared as r_squared
from .profile import End as End
from .profile import Profile as Profile
