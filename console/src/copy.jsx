// A button that copies a text, and says that it did.
import { useState } from 'preact/hooks';

export function Copy({ text, label }) {
  const [said, say] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      say('Copied');
    } catch {
      say('Not allowed');
    }
    setTimeout(() => say(''), 1500);
  };
  return <button type="button" class="quiet" onClick={copy}><span aria-live="polite">{said || label}</span></button>;
}
