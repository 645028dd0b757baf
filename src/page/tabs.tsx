/** @file Tabs (https://www.w3.org/WAI/ARIA/apg/patterns/tabs/): arrow keys go from one to the next, the address remembers which. */
import type { Child } from "hono/jsx";
import { useEffect, useState } from "hono/jsx/dom";
import { tabAfter } from "./keys.ts";

export interface Tab {
  readonly id: string;
  readonly name: string;
  readonly content: Child;
}

export function Tabs({ label, tabs }: { readonly label: string; readonly tabs: readonly Tab[] }) {
  const named = () => tabs.find(({ id }) => `#${id}` === location.hash)?.id ?? tabs[0].id;
  const [chosen, choose] = useState(named());
  useEffect(() => {
    const follow = () => choose(named());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const go = (id: string) => {
    history.replaceState(null, "", `#${id}`);
    choose(id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const at = tabs.findIndex(({ id }) => id === chosen);
    const next = tabAfter(event.key, at, tabs.length);
    if (next === null) return;
    event.preventDefault();
    go(tabs[next].id);
    document.getElementById(`tab-${tabs[next].id}`)?.focus();
  };
  return (
    <>
      <div role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(({ id, name }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`tab-${id}`}
            aria-controls={`panel-${id}`}
            aria-selected={id === chosen ? "true" : "false"}
            tabindex={id === chosen ? 0 : -1}
            onClick={() => go(id)}
          >
            {name}
          </button>
        ))}
      </div>
      {tabs.map(({ id, content }) => (
        // Those that are not shown keep what was typed into them.
        <div key={id} role="tabpanel" id={`panel-${id}`} aria-labelledby={`tab-${id}`} hidden={id !== chosen}>
          {content}
        </div>
      ))}
    </>
  );
}
