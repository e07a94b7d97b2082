// What the pages draw with; of all the rest of ECharts nothing is in the file that is made of this (update.sh).
export { connect, disconnect, getInstanceByDom, init, registerTheme, use, version } from "echarts/core";
import { use } from "echarts/core";
import { BarChart, BoxplotChart, CustomChart, HeatmapChart, LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import {
  AriaComponent, BrushComponent, DatasetComponent, DataZoomComponent, GridComponent, LegendComponent,
  MarkAreaComponent, MarkLineComponent, MarkPointComponent, ParallelComponent, TooltipComponent, VisualMapComponent,
} from "echarts/components";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer } from "echarts/renderers";

use([
  BarChart, BoxplotChart, CustomChart, HeatmapChart, LineChart, ParallelChart, ScatterChart,
  AriaComponent, BrushComponent, DatasetComponent, DataZoomComponent, GridComponent, LegendComponent,
  MarkAreaComponent, MarkLineComponent, MarkPointComponent, ParallelComponent, TooltipComponent, VisualMapComponent,
  LabelLayout, CanvasRenderer,
]);
