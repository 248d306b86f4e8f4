// What an event, or a whole answer, of any dialect says: its text, and what went wrong.

const joined = (parts) => parts.map(({ text }) => text ?? '').join('');

export function textIn(it) {
  if (Array.isArray(it.content)) return joined(it.content);
  if (Array.isArray(it.output)) return joined(it.output.flatMap(({ content }) => content ?? []));
  if (it.type === 'response.output_text.delta') return it.delta;
  if (it.type) return it.delta?.text ?? '';
  const choice = it.choices?.[0];
  return choice?.delta?.content ?? choice?.text ?? choice?.message?.content ?? it.message?.content ?? it.response ?? (typeof it.content === 'string' ? it.content : '');
}

/** Why it failed; null if it did not. */
export function failureIn(event, it) {
  if (event === 'error' && typeof it.message === 'string') return it.message;
  const error = it.error ?? it.response?.error;
  return error ? error.message ?? String(error) : null;
}
