// Models and their targets: permits, queue, health, circuit.
import { count, duration } from './format.js';

const GOOD = ['reachable', 'closed'];
const MIDDLING = ['unknown', 'half-open', 'cooling'];
const tone = (word) => (GOOD.includes(word) ? 'good' : MIDDLING.includes(word) ? 'middling' : 'bad');

function Mark({ word }) {
  return <span class={`mark ${tone(word)}`}><i aria-hidden="true" />{word}</span>;
}

function Use({ used, most, label }) {
  return <span class="use"><meter min={0} max={Math.max(most, 1)} value={used} aria-label={label} />{`${count(used)} / ${count(most)}`}</span>;
}

function Rows({ model }) {
  const { name, targets } = model;
  return (
    <>
      <tr class="model">
        <th scope="row">{name}{model.active && <span class="tag">default</span>}</th>
        <td><Mark word={model.status} /></td>
        <td />
        <td><Use used={model.permitsInUse} most={model.permits} label={`permits of ${name} in use`} /></td>
        <td class="number">{count(model.queued)}</td>
        <td />
        <td />
      </tr>
      {targets.map((target) => (
        <tr key={target.name} class="target">
          <th scope="row">{target.name}</th>
          <td><Mark word={target.status} />{target.reason && <small class="why">{target.reason}</small>}</td>
          <td><Mark word={target.circuit} /></td>
          <td><Use used={target.active} most={target.maxConcurrency} label={`slots of ${target.name} in use`} /></td>
          <td class="number">{count(target.waiting)}</td>
          <td class="number">{duration(target.timeToFirstTokenMs)}</td>
          <td class="number">{`${Math.round(target.failing * 100)} %`}</td>
        </tr>
      ))}
    </>
  );
}

export function Models({ models }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Models and targets">
      <table class="models">
        <thead>
          <tr>
            <th scope="col">Model, target</th>
            <th scope="col">Health</th>
            <th scope="col">Circuit</th>
            <th scope="col">At work</th>
            <th scope="col" class="number">Queue</th>
            <th scope="col" class="number">First token</th>
            <th scope="col" class="number">Failing</th>
          </tr>
        </thead>
        <tbody>{models.map((model) => <Rows key={model.name} model={model} />)}</tbody>
      </table>
    </div>
  );
}
