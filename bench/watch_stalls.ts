/** @file How long a thread is held at a time. */

/** Watches this thread with a timer of a millisecond until the result is called, which returns the longest gap in ms. */
export function watchStalls(): () => number {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  return () => {
    clearInterval(timer);
    look();
    return longest;
  };
}
