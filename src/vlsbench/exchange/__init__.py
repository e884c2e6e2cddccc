"""Exchange: sets and results in the forms of other programs, and tasks that Inspect runs."""

from vlsbench.exchange._export import ExportConfig as ExportConfig
from vlsbench.exchange._export import Exported as Exported
from vlsbench.exchange._export import Format as Format
from vlsbench.exchange._export import export as export
from vlsbench.exchange._export import write_hub_results as write_hub_results
