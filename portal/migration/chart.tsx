import { makeStyles, tokens } from "@fluentui/react-components";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useApp } from "../app-context.ts";
import { texts } from "../texts.ts";

export interface Series {
  readonly label: string;
  /** A CSS variable of the theme. */
  readonly color: string;
  readonly values: readonly (number | null)[];
  readonly format: (value: number) => string;
  /** The same for the axis, where there is less room. */
  readonly axis: (value: number) => string;
  /** Series of one scale share an axis: the first one's on the left, the second one's on the right. */
  readonly scale: string;
}

interface Props {
  readonly title: string;
  readonly timesMs: readonly number[];
  readonly series: readonly Series[];
}

const heightPx = 190;

const useStyles = makeStyles({
  chart: {
    minHeight: `${heightPx + 30}px`,
    "& .uplot": { fontFamily: "inherit" },
    "& .u-legend": { textAlign: "left", fontSize: tokens.fontSizeBase200, fontVariantNumeric: "tabular-nums" },
    "& .u-legend th": { fontWeight: tokens.fontWeightRegular },
    "& .u-legend .u-marker": { height: "3px", borderRadius: "2px" },
    // The moment belongs to the legend only while the pointer is on the chart, and then the axis says it.
    "& .u-legend .u-series:first-child": { display: "none" },
  },
});

/** A line chart of one or two series over time. */
export function Chart({ title, timesMs, series }: Props) {
  const styles = useStyles();
  const { appearance } = useApp();
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const newest = useRef(series);
  useEffect(() => {
    newest.current = series;
    plot.current?.setData(dataOf(timesMs, series));
  });
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const own = new uPlot(optionsOf(element, newest), dataOf([], newest.current), element);
    plot.current = own;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) own.setSize({ width: entry.contentRect.width, height: heightPx });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      own.destroy();
      plot.current = undefined;
    };
    // The colours are read from the theme when the chart is made, so another theme makes another chart.
  }, [appearance]);
  const now = series.map(({ label, values, format }) => `${label} ${format(values.at(-1) ?? 0)}`).join(", ");
  return <div ref={frame} className={styles.chart} role="img" aria-label={texts.migration.chartAria(title, now)} />;
}

/** Where the axis may have its lines, so that they stand at round figures of the unit. */
const incrementsOf: Readonly<Record<string, number[]>> = {
  bytes: Array.from({ length: 50 }, (_, power) => 2 ** power),
  seconds: [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21_600, 86_400,
  ],
};

const dataOf = (timesMs: readonly number[], series: readonly Series[]): uPlot.AlignedData => [
  timesMs.map((timeMs) => timeMs / 1000),
  ...series.map(({ values }) => [...values]),
];

function optionsOf(element: HTMLElement, newest: { readonly current: readonly Series[] }): uPlot.Options {
  const style = getComputedStyle(element);
  const colorOf = (variable: string) => style.getPropertyValue(variable).trim();
  const text = { stroke: colorOf("--colorNeutralForeground2"), font: `11px ${style.fontFamily}` };
  const grid = { stroke: colorOf("--colorNeutralStroke3"), width: 1 };
  const ticks = { stroke: colorOf("--colorNeutralStroke3"), width: 1, size: 4 };
  const series = newest.current;
  const scales = [...new Set(series.map(({ scale }) => scale))];
  return {
    width: element.clientWidth,
    height: heightPx,
    cursor: { y: false },
    scales: Object.fromEntries(
      scales.map((scale) => [scale, { range: (_plot: uPlot, _min: number, max: number): [number, number] => [0, Math.max(1, max * 1.1)] }]),
    ),
    axes: [
      { ...text, grid: { show: false }, ticks, values: (_plot, splits) => splits.map(clock) },
      ...scales.map((scale, index): uPlot.Axis => ({
        ...text,
        scale,
        side: index === 0 ? 3 : 1,
        size: 68,
        ...(incrementsOf[scale] ? { incrs: incrementsOf[scale] } : {}),
        grid: index === 0 ? grid : { show: false },
        ticks,
        values: (_plot, splits) => splits.map((split) => series.find((one) => one.scale === scale)?.axis(split) ?? String(split)),
      })),
    ],
    series: [
      { label: "", value: (_plot, seconds) => (seconds ? clock(seconds) : "") },
      ...series.map(({ label, color, scale, format }): uPlot.Series => ({
        label,
        scale,
        stroke: colorOf(color),
        width: 2,
        points: { show: false },
        value: (_plot, value, seriesIndex) => format(value ?? newest.current[seriesIndex - 1]?.values.at(-1) ?? 0),
      })),
    ],
  };
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const clock = (seconds: number): string => clockFormat.format(seconds * 1000);
