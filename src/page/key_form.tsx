/** @file Asks for a key, where the server wants one. */
import { useState } from "hono/jsx/dom";
import { valueOf } from "./choice_form.tsx";

interface Props {
  /** Why the last key was refused. */
  readonly problem: string | null;
  readonly onKey: (key: string) => void;
}

export function KeyForm({ problem, onKey }: Props) {
  const [key, setKey] = useState("");
  return (
    <form
      class="key"
      onSubmit={(event: Event) => {
        event.preventDefault();
        if (key.trim() !== "") onKey(key.trim());
      }}
    >
      <label>
        API key
        <input
          type="password"
          autocomplete="off"
          value={key}
          autofocus
          onInput={(event: Event) => setKey(valueOf(event))}
        />
      </label>
      <p class="hint">This server asks for one. It is kept until this tab is closed, and sent to this server alone.</p>
      {problem !== null && <p class="error" role="alert">{problem}</p>}
      <button type="submit" class="primary">Use the key</button>
    </form>
  );
}
