/** @file Where the page begins, see docs/playground.md. */
import { render } from "hono/jsx/dom";
import { App } from "./app.tsx";
import { Server } from "./server.ts";

/** Browsers can be told to keep nothing; then the key is asked for each time. */
function sessionStore(): Storage | null {
  try {
    const store = globalThis.sessionStorage;
    return store;
  } catch {
    return null;
  }
}

render(<App server={new Server("", sessionStore())} />, document.getElementById("page")!);
