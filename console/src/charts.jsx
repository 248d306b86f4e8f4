// The last minutes as four small charts.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { NONE, duration, rate } from './format.js';

/** Sizes in the page's own unit, which grows on large screens. */
const [HEIGHT, BELOW, BESIDE, FONT] = [8.6, 1.6, 3.8, 0.79];
/** The figures beside a title are means of so many seconds. */
const RECENT = 10;
/** A gateway that has just started fills its charts all the same. */
const SHORTEST = 120;
const STEPS = [30, 60, 120, 300, 600, 1200];
const per = (name) => (sample) => sample[name] / (Math.max(sample.took, 1) / 1000);

const CHARTS = [
  { title: 'Requests per second', say: rate, series: [['started', 'begun', per('started')], ['refused', 'refused', per('refused')]] },
  { title: 'First token', say: duration, series: [['p50', 'p50', ({ ttftP50 }) => ttftP50], ['p99', 'p99', ({ ttftP99 }) => ttftP99]] },
  { title: 'Tokens per second', say: rate, series: [['tokens', 'all streams', per('tokens')]] },
  { title: 'Failed and cancelled per second', say: rate, series: [['cancelled', 'cancelled', per('cancelled')], ['failed', 'failed', per('failed')]] },
];

/** As short as can be: labels are side by side. */
function before(time) {
  const [minutes, left] = [Math.floor(time / 60), time % 60];
  if (!minutes) return `−${left} s`;
  return left ? `−${minutes}:${String(left).padStart(2, '0')}` : `−${minutes} m`;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const unit = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Of what the style sheet makes depend on the screen, what is drawn by script. */
const look = () => `${color('ink')} ${unit()}`;

function useLook() {
  const [now, setNow] = useState(look);
  useEffect(() => {
    const changed = () => setNow(look());
    const media = ['(prefers-color-scheme: dark)', '(min-width: 2200px)', '(min-width: 3000px)'].map((it) => matchMedia(it));
    for (const it of media) it.addEventListener('change', changed);
    return () => {
      for (const it of media) it.removeEventListener('change', changed);
    };
  }, []);
  return now;
}

function options(width, { series, say }, span) {
  const rem = unit();
  const axis = { stroke: color('dim'), font: `${FONT * rem}px system-ui, sans-serif`, ticks: { show: false } };
  const range = (_, oldest, now) => (now == null ? [0, 1] : [now - Math.min(span, Math.max(now - oldest, SHORTEST)), now]);
  const ago = (_, __, from, now) => {
    const step = STEPS.find((it) => (now - from) / it <= 4) ?? STEPS.at(-1);
    const marks = [];
    for (let mark = now - step; mark > from + step / 3; mark -= step) marks.unshift(mark);
    return marks;
  };
  const told = ({ scales }, marks) => marks.map((mark) => before(Math.round(scales.x.max - mark)));
  return {
    width,
    height: HEIGHT * rem,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { x: { range }, y: { range: (_, __, most) => [0, Math.max(most ?? 0, 1) * 1.1] } },
    axes: [
      { ...axis, size: BELOW * rem, space: 5 * rem, grid: { show: false }, splits: ago, values: told },
      { ...axis, size: BESIDE * rem, space: 2.4 * rem, grid: { stroke: color('line'), width: 1 }, values: (_, values) => values.map((value) => say(value)) },
    ],
    series: [{}, ...series.map((_, index) => ({ stroke: color(`series-${index + 1}`), width: 1.5, fill: index ? undefined : color('series-fill'), spanGaps: false, points: { show: false } }))],
  };
}

function columns(samples, series) {
  const moments = samples.map(({ at }) => at / 1000);
  return [moments, ...series.map(([, , value]) => samples.map((sample) => value(sample) ?? null))];
}

function recent(values) {
  const known = values.slice(-RECENT).filter((value) => value != null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

/** Charts are drawn one after another, in tasks of their own: together they would hold up a frame. */
const APART = 40;

function Chart({ chart, place, samples, span, look: drawn }) {
  const box = useRef(null);
  const plot = useRef(null);
  const data = useMemo(() => columns(samples, chart.series), [samples]);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const it = box.current;
    const watch = new ResizeObserver(() => {
      const width = it.clientWidth;
      if (width !== plot.current.width) plot.current.setSize({ width, height: plot.current.height });
    });
    const drawing = setTimeout(() => {
      plot.current = new uPlot(options(it.clientWidth, chart, span), latest.current, it);
      watch.observe(it);
    }, place * APART);
    return () => {
      clearTimeout(drawing);
      watch.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [drawn, span]);
  useEffect(() => {
    const drawing = setTimeout(() => plot.current?.setData(data), place * APART);
    return () => clearTimeout(drawing);
  }, [data]);
  const figures = chart.series.map(([name, label], index) => {
    const value = recent(data[index + 1]);
    return { name, label, text: value == null ? NONE : chart.say(value) };
  });
  const summary = figures.map(({ label, text }) => `${label} ${text}`).join(', ');
  return (
    <figure class="chart">
      <figcaption>
        <span class="title">{chart.title}</span>
        {figures.map(({ name, label, text }, index) => (
          <span key={name} class={`figure series-${index + 1}`}><i aria-hidden="true" />{label} <b>{text}</b></span>
        ))}
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${chart.title}, last ${Math.round(span / 60)} minutes. Now: ${summary}`} />
    </figure>
  );
}

export function Charts({ samples, span }) {
  const drawn = useLook();
  return (
    <div class="charts">
      {CHARTS.map((chart, place) => <Chart key={chart.title} chart={chart} place={place + 1} samples={samples} span={span} look={drawn} />)}
    </div>
  );
}
