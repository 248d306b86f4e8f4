// A box that stays at the end of what grows in it, unless its reader has scrolled away.
import { useEffect, useRef } from 'preact/hooks';

const NEAR = 60;

export function useFollow(content) {
  const box = useRef(null);
  const follows = useRef(true);
  useEffect(() => {
    const it = box.current;
    if (follows.current) it.scrollTop = it.scrollHeight;
  }, [content]);
  const scrolled = ({ currentTarget: it }) => {
    follows.current = it.scrollHeight - it.scrollTop - it.clientHeight < NEAR;
  };
  return [box, scrolled];
}
