/** @file Flags of the commands for policies of one's own; see shared.ts. */
import { MAXIMUM_TASK_LENGTH, MINIMUM_TASK_LENGTH } from "../../eval/tasks/families.ts";
import { type AnyFlag, cacheBudget, integer, type OptionsOf, text } from "../values.ts";
import { DEVICE_FLAGS, ENGINE_FLAGS, pluginPath } from "./shared.ts";

const policyFile = { value: pluginPath, required: true, help: "File with policies, or a directory of such" } as const;

/** `policy new`: a file to begin with. */
export const POLICY_NEW_FLAGS = {
  file: {
    value: text("FILE", "a file to write, such as mine.ts"),
    required: true,
    help: "File to write, such as mine.ts",
  },
} as const satisfies Record<string, AnyFlag>;

/** `policy check`: faults of policies. */
export const POLICY_CHECK_FLAGS = {
  file: policyFile,
  out: {
    value: text("FILE.svg", "a file to write"),
    help: "Picture of the rows that layers keep; default: the policy's file with .check.svg at its end",
  },
} as const satisfies Record<string, AnyFlag>;

/** `policy try`: a small comparison. */
export const POLICY_TRY_FLAGS = {
  file: policyFile,
  model: ENGINE_FLAGS.model,
  device: DEVICE_FLAGS.device,
  budget: { value: cacheBudget, default: 64, help: "KV rows per layer, on average, or a share of the prompt" },
  length: {
    value: integer(MINIMUM_TASK_LENGTH, MAXIMUM_TASK_LENGTH),
    default: 512,
    help: "Length of the prompts, in tokens",
  },
  samples: { value: integer(1), default: 6, help: "Questions of each task" },
  out: {
    value: text("FILE.svg", "a file to write"),
    help: "Picture of the scores; default: the policy's file with .try.svg at its end",
  },
} as const satisfies Record<string, AnyFlag>;

export type PolicyNewOptions = OptionsOf<typeof POLICY_NEW_FLAGS>;
export type PolicyCheckOptions = OptionsOf<typeof POLICY_CHECK_FLAGS>;
export type PolicyTryOptions = OptionsOf<typeof POLICY_TRY_FLAGS>;
