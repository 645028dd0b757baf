/** @file What every panel of the page is given. */
import type { KvChoice, PolicyList } from "./kv_choice.ts";
import type { Server } from "./server.ts";

/** A budget that shows something: the server's own may keep all of a short prompt. */
export const DEMO_BUDGET = "10%";

export interface PanelProps {
  readonly server: Server;
  /** Id of the model that is asked. */
  readonly model: string;
  readonly list: PolicyList;
  /** Layers of the model; 0 while that is not known. */
  readonly layers: number;
  /** What forms begin with. */
  readonly initial: KvChoice;
  /** Longest prompt plus completion, in tokens. */
  readonly contextLength: number;
}
