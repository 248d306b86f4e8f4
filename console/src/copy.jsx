// A button that copies a text, and says that it did.
import { useState } from 'preact/hooks';

/**
 * Where a page has no clipboard, as on plain HTTP at any host but localhost: what is selected is copied. Where that
 * is not allowed either, it stays there for people to copy.
 */
function select(text) {
  const dialog = document.createElement('dialog');
  dialog.className = 'by-hand';
  const field = Object.assign(document.createElement('textarea'), { value: text, readOnly: true, rows: 12, ariaLabel: 'To be copied' });
  const close = Object.assign(document.createElement('button'), { type: 'button', className: 'quiet', textContent: 'Close' });
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  dialog.append(field, close);
  document.body.append(dialog);
  dialog.showModal();
  field.select();
  const isCopied = document.execCommand('copy');
  if (isCopied) dialog.close();
  return isCopied;
}

const copied = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return select(text);
  }
};

export function Copy({ text, label }) {
  const [said, say] = useState('');
  const copy = async () => {
    say((await copied(text())) ? 'Copied' : 'Not allowed');
    setTimeout(() => say(''), 1500);
  };
  return <button type="button" class="quiet" onClick={copy}><span aria-live="polite">{said || label}</span></button>;
}
