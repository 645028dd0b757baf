import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** The commands of the README's quickstart: what starts the server, and what asks it. */
async function quickstart(): Promise<[start: string, ask: string]> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const section = readme.split("\n## ").find((text) => text.startsWith("Quickstart\n"))!;
  const [start, ask] = [...section.matchAll(/```sh\n([^]*?)```/g)].map(([, commands]) => commands);
  return [start, ask];
}

/** Runs `ask` as soon as the server that `start` starts listens, and ends the server and all that belongs to it. */
const script = (start: string, ask: string) => `
set -m
( ${start} ) > server.log 2>&1 &
server=$!
trap 'kill -TERM -- -$server; wait $server' EXIT
for second in $(seq 120); do
  grep -q "^Listening on" server.log && break
  if ! kill -0 $server; then cat server.log >&2; exit 1; fi
  sleep 1
done
${ask}
`;

async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output();
  return success;
}

/** Why the commands cannot be run here, if they cannot. */
async function obstacle(): Promise<string | null> {
  for (const program of ["bash", "npx", "node", "curl"]) if (!await has(program)) return `there is no ${program}`;
  try {
    Deno.listen({ hostname: "127.0.0.1", port: 8000 }).close();
  } catch {
    return "port 8000 is in use";
  }
  return null;
}

const reason = await obstacle();

Deno.test({
  name: `the README's quickstart streams the answer and the rows kept${reason ? ` (skipped: ${reason})` : ""}`,
  ignore: reason !== null,
  async fn() {
    // The commands write a file: let them do so beside links to the project, not in it.
    const directory = await Deno.makeTempDir({ prefix: "ebb-test-" });
    try {
      for await (const { name } of Deno.readDir(ROOT)) {
        await Deno.symlink(fileURLToPath(new URL(name, ROOT)), `${directory}/${name}`);
      }
      const inherited = Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("EBB_"));
      const { code, stdout, stderr } = await new Deno.Command("bash", {
        args: ["-c", script(...await quickstart())],
        cwd: directory,
        env: { ...Object.fromEntries(inherited), NO_COLOR: "1" },
        clearEnv: true,
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));

      const events = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("data: "))
        .map((line) => line.slice("data: ".length));
      assert.equal(events.pop(), "[DONE]");
      const chunks = events.map((event) => JSON.parse(event));
      const reply = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
      const { answers } = JSON.parse(await Deno.readTextFile(`${directory}/sample.json`));
      assert.ok(answers.some((answer: string) => reply.includes(answer)), `expected ${answers}, got ${reply}`);
      const { kv_cache } = chunks.at(-1).usage;
      assert.ok(kv_cache.prompt_rows > 1900);
      assert.equal(kv_cache.rows_per_layer.length, 8);
      assert.ok(kv_cache.ratio < 0.08, `kept ${kv_cache.ratio}`);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
