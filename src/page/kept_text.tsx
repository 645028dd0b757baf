/**
 * @file The heat map over the text: each token of the prompt in the colour of how much of the cache keeps it. Hovered, touched, or
 * gone to with the arrow keys, a token tells who keeps it.
 */
import { memo, useEffect, useMemo, useRef, useState } from "hono/jsx/dom";
import { directionOf } from "./token_texts.ts";
import { tokenAfter } from "./keys.ts";
import { describeToken, keptByLayer, keptShares, levelOf, type Positions } from "./kept_rows.ts";

interface Props {
  readonly tokens: readonly string[];
  readonly positions: Positions;
  /** All layers without one. */
  readonly layer: number | undefined;
  /** Tokens that are marked, from the first to the one behind the last. */
  readonly marked: { readonly start: number; readonly end: number } | null;
}

export function KeptText({ tokens, positions, layer, marked }: Props) {
  const shares = useMemo(() => keptShares(positions, tokens.length, layer), [positions, tokens, layer]);
  const [at, setAt] = useState<number | null>(null);
  const text = useRef<HTMLElement>(null);
  useEffect(() => {
    // What is marked is what one looks for: it is in sight, within the text's own frame.
    const [frame, first] = [text.current, text.current?.children[marked?.start ?? -1] as HTMLElement | undefined];
    if (frame && first) frame.scrollTop = first.offsetTop - frame.offsetTop - frame.clientHeight / 2;
  }, [tokens, marked?.start]);
  const show = (next: number) => {
    // By hand: to draw thousands of tokens anew for one of them takes too long.
    text.current?.querySelector(".at")?.classList.remove("at");
    const token = text.current?.children[next];
    token?.classList.add("at");
    setAt(next);
    return token;
  };
  const showUnder = (event: Event) => {
    const token = (event.target as Element).closest("[data-at]");
    if (token !== null && !token.classList.contains("at")) show(Number(token.getAttribute("data-at")));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = tokenAfter(event.key, at, shares);
    if (next === null) return;
    event.preventDefault();
    show(next)?.scrollIntoView({ block: "nearest" });
  };
  return (
    <div class="kept">
      <div
        class="tokens"
        role="group"
        tabindex={0}
        aria-label="The prompt's tokens. Arrow keys go from one kept token to the next."
        dir={directionOf(tokens)}
        ref={text}
        onKeyDown={onKeyDown}
        // Of a pointer that has moved: text that scrolls under one at rest tells nothing.
        onPointerMove={showUnder}
        onPointerDown={showUnder}
      >
        <Tokens tokens={tokens} shares={shares} marked={marked} />
      </div>
      <div class="told" aria-live="polite">
        {at === null || at >= tokens.length ? "Point at a token, or go to the text and press the arrow keys." : (
          <>
            <span dir="auto">{describeToken(positions, tokens, at)}</span>
            <span class="strip" aria-hidden="true">
              {keptByLayer(positions, at).map((share, i) => <span key={i} class={`heat${levelOf(share)}`}>{i}</span>)}
            </span>
          </>
        )}
      </div>
    </div>
  );
}

const Tokens = memo((
  { tokens, shares, marked }: {
    readonly tokens: readonly string[];
    readonly shares: Float64Array;
    readonly marked: Props["marked"];
  },
) => (
  <>
    {tokens.map((token, at) => {
      const isMarked = marked !== null && at >= marked.start && at < marked.end;
      return (
        <span key={at} data-at={at} class={`heat${levelOf(shares[at])}${isMarked ? " marked" : ""}`}>{token}</span>
      );
    })}
  </>
));
