import assert from "node:assert/strict";

/** Asks for lines as the chat does. "busy" is answered for ever, until it is interrupted. */
const SCRIPT = `
  import { standardInput } from "${new URL("../../../src/cli/chat/line_input.ts", import.meta.url)}";
  const input = standardInput();
  for (let line = await input.next(); line !== null; line = await input.next()) {
    console.log("[" + line + "]");
    if (line !== "busy") continue;
    await new Promise((resolve) => {
      input.onInterrupt = resolve;
      console.log("[answering]");
    });
    input.onInterrupt = undefined;
    console.log("[interrupted]");
  }
  console.log("[end]");
  input.close();
`;

const withScript = async (body: (path: string) => Promise<void>) => {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, SCRIPT);
  try {
    await body(path);
  } finally {
    await Deno.remove(path);
  }
};

/** A process, what is written to it, and what it has written. */
class Dialogue {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #read = "";

  constructor(command: string, args: readonly string[]) {
    this.#process = new Deno.Command(command, { args: [...args], stdin: "piped", stdout: "piped", stderr: "inherit" })
      .spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Reads until a text comes; what stands before it, and it, is read. */
  async until(text: string): Promise<string> {
    while (!this.#read.includes(text)) {
      const { value, done } = await this.#output.read();
      if (done) assert.fail(`${JSON.stringify(text)} never came, but ${JSON.stringify(this.#read)}`);
      this.#read += value;
    }
    const end = this.#read.indexOf(text) + text.length;
    const before = this.#read.slice(0, end);
    this.#read = this.#read.slice(end);
    return before;
  }

  interrupt(): void {
    this.#process.kill("SIGINT");
  }

  /** Ends the input, and waits for the end: the exit code, and what had not been read. */
  async end(): Promise<{ code: number; output: string }> {
    // A process that has ended takes no end.
    await this.#input.close().catch(() => {});
    for (let piece = await this.#output.read(); !piece.done; piece = await this.#output.read()) {
      this.#read += piece.value;
    }
    return { code: (await this.#process.status).code, output: this.#read };
  }
}

Deno.test("Lines of a pipe are taken one after the other, without a prompt; its end is the end", async () => {
  await withScript(async (path) => {
    const dialogue = new Dialogue(Deno.execPath(), ["run", "-A", "--no-check", path]);
    await dialogue.write("one\r\n\ntwo");
    assert.deepEqual(await dialogue.end(), { code: 0, output: "[one]\n[]\n[two]\n[end]\n" });
  });
});

Deno.test({
  name: "A signal ends the answer to a line of a pipe, and the conversation where none is written",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withScript(async (path) => {
      const dialogue = new Dialogue(Deno.execPath(), ["run", "-A", "--no-check", path]);
      await dialogue.write("busy\n");
      await dialogue.until("[answering]\n");
      dialogue.interrupt();
      await dialogue.until("[interrupted]\n");
      dialogue.interrupt();
      await dialogue.until("[end]\n");
      assert.equal((await dialogue.end()).code, 0);
    }),
});

/** A pseudo terminal, by util-linux's `script`. */
const terminal = (path: string) =>
  new Dialogue("script", ["-qec", `"${Deno.execPath()}" run -A --no-check "${path}"`, "/dev/null"]);

const CTRL_C = "\x03";
const CTRL_D = "\x04";
const LEFT = "\x1b[D";
const UP = "\x1b[A";

const ENDS: Readonly<Record<string, (dialogue: Dialogue) => Promise<void>>> = {
  "Ctrl-D ends the conversation": (dialogue) => dialogue.write(CTRL_D),
  async "Ctrl-C gives up a line, and twice ends the conversation"(dialogue) {
    await dialogue.write(`half${CTRL_C}`);
    await dialogue.until("ends the chat");
    await dialogue.until("> ");
    await dialogue.write(CTRL_C);
  },
};

for (const [name, end] of Object.entries(ENDS)) {
  Deno.test({
    name: `On a terminal lines are edited and remembered, and Ctrl-C ends an answer. ${name}`,
    // Elsewhere `script` takes other arguments, or is not there.
    ignore: Deno.build.os !== "linux",
    fn: () =>
      withScript(async (path) => {
        const dialogue = terminal(path);
        await dialogue.until("> ");
        await dialogue.write(`oe${LEFT}n\r`);
        await dialogue.until("[one]");
        await dialogue.until("> ");
        await dialogue.write(`${UP}\r`);
        await dialogue.until("[one]");
        await dialogue.until("> ");
        await dialogue.write("busy\r");
        await dialogue.until("[answering]");
        await dialogue.write(CTRL_C);
        await dialogue.until("[interrupted]");
        await dialogue.until("> ");
        await end(dialogue);
        await dialogue.until("[end]");
        await dialogue.end();
      }),
  });
}
