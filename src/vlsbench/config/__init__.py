"""Settings, each declared once; `_options.py` says how."""

from vlsbench.config._groups import Budget as Budget
from vlsbench.config._groups import Connection as Connection
from vlsbench.config._groups import Data as Data
from vlsbench.config._groups import Images as Images
from vlsbench.config._groups import Limits as Limits
from vlsbench.config._groups import Sample as Sample
from vlsbench.config._options import NONE as NONE
from vlsbench.config._options import Option as Option
from vlsbench.config._options import Setting as Setting
from vlsbench.config._options import option as option
from vlsbench.config._options import record as record
from vlsbench.config._options import resolve as resolve
from vlsbench.config._options import settings as settings
from vlsbench.config._options import settings_of as settings_of
from vlsbench.config._options import to_toml as to_toml
from vlsbench.config._options import values_of as values_of
