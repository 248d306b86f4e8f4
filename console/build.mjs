// Builds the page into the folder that the gateway is compiled with, or into the one that is named.
import { build } from 'esbuild';
import { copyFile, mkdir } from 'node:fs/promises';

const here = new URL('./', import.meta.url);
const out = process.argv[2] ?? new URL('../src/http/console/built', here).pathname;
await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here.pathname,
  entryPoints: { console: 'src/main.jsx' },
  outdir: out,
  bundle: true,
  format: 'esm',
  target: ['chrome111', 'firefox114', 'safari16.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  banner: { js: '/* Tidegate\'s console; made from console/, with Preact, uPlot and marked (MIT). */' },
});
for (const file of ['index.html', 'icon.svg']) await copyFile(new URL(`src/${file}`, here), `${out}/${file}`);
