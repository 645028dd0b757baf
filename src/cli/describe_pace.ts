/** @file How many tokens an answer had, and how fast they came, in words. */

/** As RunPace tells them. */
export interface Pace {
  readonly firstTokenSeconds: number | null;
  readonly tokensPerSecond: number | null;
}

/** `12 tokens, the first after 0.31 s, then 41.2 tokens/s`, as far as it is known. */
export function describePace(tokens: number, { firstTokenSeconds, tokensPerSecond }: Pace): string {
  return [
    `${tokens} ${tokens === 1 ? "token" : "tokens"}`,
    ...firstTokenSeconds === null ? [] : [`the first after ${firstTokenSeconds.toFixed(2)} s`],
    ...tokensPerSecond === null ? [] : [`then ${tokensPerSecond.toFixed(1)} tokens/s`],
  ].join(", ");
}
