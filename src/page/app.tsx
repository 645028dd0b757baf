/** @file The page: who is served, the server at a glance, and its three panels. */
import { useEffect, useState } from "hono/jsx/dom";
import { Chat } from "./chat.tsx";
import { Compare } from "./compare.tsx";
import { Glance } from "./glance.tsx";
import { KeyForm } from "./key_form.tsx";
import { initialChoice, type PolicyList } from "./kv_choice.ts";
import { NeedleDemo } from "./needle_demo.tsx";
import { sentenceOf, type Server, ServerError } from "./server.ts";
import { Tabs } from "./tabs.tsx";

interface Model {
  readonly id: string;
  /** While it is loaded, or has been. */
  readonly max_model_len?: number;
  readonly meta?: { readonly device: string };
}

/** What the server tells of itself; of several models the first, which requests that name none mean. */
interface Served {
  readonly model: Model;
  readonly list: PolicyList;
}

const PANELS = [
  { id: "chat", name: "Chat", panel: Chat },
  { id: "compare", name: "Compare", panel: Compare },
  { id: "needle", name: "Needle", panel: NeedleDemo },
] as const;

export function App({ server }: { readonly server: Server }) {
  const [served, setServed] = useState<Served | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [wantsKey, setWantsKey] = useState(false);
  const [layers, setLayers] = useState(0);
  const load = async () => {
    setProblem(null);
    try {
      const [{ data }, list] = await Promise.all([
        server.json<{ data: readonly Model[] }>("v1/models"),
        server.json<PolicyList>("v1/kv/policies"),
      ]);
      setServed({ model: data[0], list });
      setWantsKey(false);
    } catch (error) {
      setWantsKey(error instanceof ServerError && error.status === 401);
      setProblem(sentenceOf(error));
    }
  };
  useEffect(() => {
    load();
  }, []);

  const given = served && {
    server,
    list: served.list,
    layers,
    initial: initialChoice(served.list),
    contextLength: served.model.max_model_len ?? Infinity,
  };
  return (
    <>
      <header>
        <h1>Ebb</h1>
        {served && (
          <p>
            {served.model.id} {served.model.meta && <span class="hint">on {served.model.meta.device}</span>}
          </p>
        )}
        {served && <Glance server={server} model={served.model.id} onLayers={setLayers} />}
      </header>
      <main>
        {wantsKey && (
          <KeyForm
            problem={problem}
            onKey={(key) => {
              server.useKey(key);
              load();
            }}
          />
        )}
        {problem !== null && !wantsKey && (
          <p class="error" role="alert">
            {problem} <button type="button" onClick={load}>Try again</button>
          </p>
        )}
        {given && (
          <Tabs
            label="What to do"
            tabs={PANELS.map(({ id, name, panel: Panel }) => ({ id, name, content: <Panel {...given} /> }))}
          />
        )}
      </main>
      <footer>
        <p>
          This page talks to this server alone. <a href="docs">The HTTP API</a>
        </p>
      </footer>
    </>
  );
}
