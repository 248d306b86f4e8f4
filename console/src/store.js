// A value that components redraw with, at most once a frame.
import { useEffect, useReducer } from 'preact/hooks';

export function store(value) {
  const readers = new Set();
  let due = false;
  const tell = () => {
    due = false;
    for (const read of readers) read();
  };
  return {
    get: () => value,
    set(next) {
      value = next;
      if (!due) {
        due = true;
        requestAnimationFrame(tell);
      }
    },
    subscribe(read) {
      readers.add(read);
      return () => readers.delete(read);
    },
  };
}

export function useStore(it) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    redraw(); // what was set before this began to listen
    return it.subscribe(redraw);
  }, [it]);
  return it.get();
}
