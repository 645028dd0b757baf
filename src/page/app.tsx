/** @file The page: who is served, the server at a glance, and its three panels. */
import { useEffect, useState } from "hono/jsx/dom";
import { Chat } from "./chat.tsx";
import { Compare } from "./compare.tsx";
import { Glance } from "./glance.tsx";
import { KeyForm } from "./key_form.tsx";
import { initialChoice, type PolicyList } from "./kv_choice.ts";
import { ModelChoice } from "./model_choice.tsx";
import { askable, chosenModel, type Model } from "./models.ts";
import { NeedleDemo } from "./needle_demo.tsx";
import { sentenceOf, type Server, ServerError } from "./server.ts";
import { Tabs } from "./tabs.tsx";

/** What the server tells of itself. */
interface Served {
  readonly models: readonly Model[];
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
  const [chosen, choose] = useState<string | null>(null);
  const [layers, setLayers] = useState(0);
  const load = async () => {
    setProblem(null);
    try {
      const [{ data }, list] = await Promise.all([
        server.json<{ data: readonly Model[] }>("v1/models"),
        server.json<PolicyList>("v1/kv/policies"),
      ]);
      setServed({ models: askable(data), list });
      setWantsKey(false);
    } catch (error) {
      setWantsKey(error instanceof ServerError && error.status === 401);
      setProblem(sentenceOf(error));
    }
  };
  // Of a model that is loaded only when it is first asked, more is known then.
  useEffect(() => {
    load();
  }, [layers > 0]);

  const model = served && chosenModel(served.models, chosen);
  const given = served && model && {
    server,
    model: model.id,
    list: served.list,
    layers,
    initial: initialChoice(served.list),
    contextLength: model.max_model_len ?? Infinity,
  };
  return (
    <>
      <header>
        <h1>Ebb</h1>
        {served && model && (
          <ModelChoice
            models={served.models}
            chosen={model}
            onChoose={(id) => {
              setLayers(0);
              choose(id);
            }}
          />
        )}
        {model && <Glance key={model.id} server={server} model={model.id} onLayers={setLayers} />}
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
