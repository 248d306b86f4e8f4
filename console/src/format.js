// Numbers as people read them.
const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const NONE = '–';
export const count = (value) => (value == null ? NONE : whole.format(value));
export const rate = (value) => (value == null ? NONE : (value < 100 ? one : whole).format(value));

export function duration(millis) {
  if (millis == null) return NONE;
  if (millis < 1000) return `${Math.round(millis)} ms`;
  const seconds = millis / 1000;
  if (seconds < 60) return `${one.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`;
}

export function bytes(value) {
  if (value == null) return NONE;
  if (value < 1024) return `${value} B`;
  const kib = value / 1024;
  return kib < 1024 ? `${one.format(kib)} KiB` : `${one.format(kib / 1024)} MiB`;
}
