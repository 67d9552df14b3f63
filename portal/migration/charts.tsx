import { makeStyles, Text, tokens } from "@fluentui/react-components";
import { useMemo } from "react";
import { formatBytes, formatDuration, formatPerSecond, formatShort } from "../figures/format.ts";
import { rateSeries } from "../figures/rates.ts";
import { texts } from "../texts.ts";
import { Chart, type Series } from "./chart.tsx";
import type { DatabaseView } from "./migration-view.ts";

const useStyles = makeStyles({
  charts: {
    display: "grid",
    gridTemplateColumns: "repeat(2, minmax(0, 1fr))",
    gap: tokens.spacingHorizontalXXL,
    "@media (max-width: 900px)": { gridTemplateColumns: "minmax(0, 1fr)" },
  },
  title: { margin: 0, fontSize: tokens.fontSizeBase300, fontWeight: tokens.fontWeightSemibold },
});

/** Below this a chart would be a dot. */
const samplesMin = 3;

/** Rows per second, and lag, since the page was opened. */
export function Charts({ database: { history } }: { readonly database: DatabaseView }) {
  const styles = useStyles();
  const words = texts.migration;
  const timesMs = useMemo(() => history.map(({ timeMs }) => timeMs), [history]);
  const rows = useMemo<readonly Series[]>(
    () => [
      {
        label: words.rowsChartLoaded,
        color: "--colorBrandForeground1",
        values: rateSeries(history, "loadedRows"),
        format: formatPerSecond,
        axis: formatShort,
        scale: "rows",
      },
      {
        label: words.rowsChartApplied,
        color: "--colorPaletteMarigoldForeground2",
        values: rateSeries(history, "appliedChanges"),
        format: formatPerSecond,
        axis: formatShort,
        scale: "rows",
      },
    ],
    [history, words],
  );
  const lag = useMemo<readonly Series[]>(
    () => [
      {
        label: words.lagChartBytes,
        color: "--colorBrandForeground1",
        values: history.map(({ lagBytes }) => lagBytes),
        format: formatBytes,
        axis: formatBytes,
        scale: "bytes",
      },
      {
        label: words.lagChartSeconds,
        color: "--colorPaletteMarigoldForeground2",
        values: history.map(({ latencySeconds }) => latencySeconds),
        format: formatDuration,
        axis: formatDuration,
        scale: "seconds",
      },
    ],
    [history, words],
  );
  if (history.length < samplesMin) return <Text>{words.chartEmpty}</Text>;
  return (
    <div className={styles.charts}>
      <div>
        <h3 className={styles.title}>{words.rowsChart}</h3>
        <Chart title={words.rowsChart} timesMs={timesMs} series={rows} />
      </div>
      <div>
        <h3 className={styles.title}>{words.lagChart}</h3>
        <Chart title={words.lagChart} timesMs={timesMs} series={lag} />
      </div>
    </div>
  );
}
