"""Pictures of activation regions, of input space and of slices of parameter space.

What a picture says is exact: which regions there are, which of them meet, their ranks and
dimensions; points and colours are rounded to floats. Nothing here opens a window or touches pyplot.
"""

from exactdim.viz.parameters import plot_parameter_slice as plot_parameter_slice
from exactdim.viz.regions import plot_graph as plot_graph
from exactdim.viz.regions import plot_regions as plot_regions
from exactdim.viz.regions import save_figure as save_figure

__all__ = ["plot_graph", "plot_parameter_slice", "plot_regions", "save_figure"]
