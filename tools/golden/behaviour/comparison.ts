/** @file One small `eval compare` by the command line, without what hangs on time. */
import { withDirectory } from "./program.ts";

const MAIN = new URL("../../../main.ts", import.meta.url);

/** What the full cache and two policies make of one or two questions. */
export function playComparison(isSmall: boolean): Promise<unknown> {
  return withDirectory({}, async (folder) => {
    const out = `${folder}/results.json`;
    // deno-fmt-ignore
    const args = [
      "eval", "compare", "--suite", "needle", "--policies", "dynamickv,h2o", "--budgets", "32", "--lengths", "400",
      "--samples", isSmall ? "1" : "2", "--out", out, "--device", "gpu",
    ];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", MAIN.href, ...args],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(await Deno.readTextFile(out)).results;
  });
}
