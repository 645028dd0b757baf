/** @file Benchmarks and tools as a user starts them: help, and a sentence and exit code 2 for what is wrong. */
import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url).pathname;

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...args],
    cwd: ROOT,
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: out, stderr: error };
}

/** Programs, the flags that their help names, and what they refuse. */
const PROGRAMS: readonly [
  path: string,
  flags: readonly string[],
  refused: readonly [args: string[], words: RegExp][],
][] = [
  [
    "bench/main.ts",
    ["--quick", "--minutes", "--shape", "--peers", "--threads", "--rounds", "--llama-cpp", "--wllama"],
    [
      [["--zzz"], /^Unknown option '--zzz': --help lists what there is\n$/],
      [["kernel"], /^There is no benchmark "kernel": expected one of kernels, /],
      [["gpu", "more"], /^Unexpected argument 'more': /],
      [["cpu", "--threads", "x"], /^--threads must be a whole number of at least 1, not "x"\n$/],
      [["cpu", "--rounds", "0"], /^--rounds must be a whole number of at least 1, not "0"\n$/],
      [
        ["cpu", "--llama-cpp", "tests"],
        /^--llama-cpp must be a folder in which npm .*, but tests has no node_modules\n$/,
      ],
      [["report", "more"], /^report takes no arguments, got "more"\n$/],
    ],
  ],
  ["bench/quality/main.ts", ["--model", "--out", "--records", "--samples"], [
    [["--zzz"], /^Unknown option '--zzz': /],
    [["draw", "--samples", "3"], /^--samples means nothing without --model: /],
    [["--model", "m", "--out", "o", "--samples", "x"], /^--samples must be a whole number of at least 1, not "x"\n$/],
  ]],
  ["tools/stress/main.ts", [], [[["flood"], /^"flood" is unknown: expected fuzz or soak\n$/]]],
  ["tools/release/compile.ts", ["--target", "--output"], [[
    ["--target", "x"],
    /^--target must be x86_64-.*, not "x"\n$/,
  ]]],
  ["tools/release/main.ts", ["--targets", "--out"], [[["--zzz"], /^Unknown option '--zzz': /]]],
  ["tools/mutation/main.ts", ["--random", "--count"], [[[], /^A file for the results is missing\. Usage: /]]],
  ["tools/train/main.ts", ["--work", "--recipe", "--prose", "--python"], [[[], /^--work is missing: /]]],
];

for (const [path, flags, refused] of PROGRAMS) {
  Deno.test(`${path} has help, which names its flags`, async () => {
    const { code, stdout, stderr } = await run(path, "--help");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^Usage: /);
    for (const flag of flags) assert.ok(stdout.includes(`[${flag}`) || stdout.includes(` ${flag} `), flag);
  });
  for (const [args, words] of refused) {
    Deno.test(`${path} ${args.join(" ")} exits with 2 and a sentence`, async () => {
      const { code, stdout, stderr } = await run(path, ...args);
      assert.match(stderr, words);
      assert.deepEqual([code, stdout], [2, ""]);
    });
  }
}
