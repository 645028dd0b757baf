/** The system prompt stays whole; the rest of the conversation competes for what the budget leaves. */
import { attention, defaultWindow, definePolicy, pool, protect } from "ebb/policy";

export default definePolicy({
  api: 1,
  name: "protect-system-prompt",
  description: "Keeps all of the system prompt, and of the rest what the end attends to",
  score: ({ budget, messages }) => [
    attention({ window: defaultWindow(8, budget) }),
    pool({ width: 7, by: "maximum" }),
    protect(messages.filter(({ role }) => role === "system")),
  ],
});
