/** @file The command line: `main.ts serve | generate | inspect`; `main.ts --help` says more. */
import { run } from "./src/cli/run.ts";

if (import.meta.main) Deno.exit(await run(Deno.args));
