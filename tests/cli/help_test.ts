import assert from "node:assert/strict";
import { COMMANDS } from "../../src/cli/commands.ts";
import { BUILT_IN_POLICIES } from "../../src/plugins/built_in.ts";
import { EXIT_CODES } from "../../src/cli/exit_codes.ts";
import { commandHelp, programHelp } from "../../src/cli/help.ts";
import { flagName } from "../../src/cli/option_names.ts";

Deno.test("The program's help names every command and every exit code", () => {
  const help = programHelp();
  for (const [name, { summary }] of Object.entries(COMMANDS)) assert.match(help, new RegExp(`  ${name} +${summary}`));
  for (const { code } of Object.values(EXIT_CODES)) assert.match(help, new RegExp(`^  ${code} `, "m"));
});

for (const [name, { flags }] of Object.entries(COMMANDS)) {
  Deno.test(`The help of ${name} names every flag with its default`, () => {
    const help = commandHelp(name);
    for (const [option, flag] of Object.entries(flags)) {
      const line = help.split("\n").find((line) => line.startsWith(`  ${flagName(option)} `));
      assert.ok(line, `${flagName(option)} is missing`);
      if (flag.default) assert.ok(line.endsWith(`(default: ${flag.default})`), line);
      if (flag.required) assert.ok(line.endsWith("(required)"), line);
    }
  });
}

Deno.test("The help of a command that takes policies names those that there are; exit codes are told once", () => {
  for (const [name, { flags }] of Object.entries(COMMANDS)) {
    const [, policies = ""] = commandHelp(name).split("\nPolicies\n");
    const words = policies.split(/[\s,;]+/);
    const isAsked = "policy" in flags || "policies" in flags;
    assert.equal(BUILT_IN_POLICIES.every(({ name }) => words.includes(name)), isAsked, name);
    assert.doesNotMatch(commandHelp(name), /^Exit codes/m);
  }
});

Deno.test("The columns of help hold: what flags mean begins in one place", () => {
  for (const [name, { flags }] of Object.entries(COMMANDS)) {
    const lines = commandHelp(name).split("\n");
    const starts = Object.entries(flags).map(([option, { help }]) =>
      lines.find((line) => line.startsWith(`  ${flagName(option)} `))!.indexOf(help)
    );
    assert.ok(new Set(starts).size <= 1, `${name}: ${starts}`);
  }
});

Deno.test("The usage line shows what must be given", () => {
  assert.match(commandHelp("serve"), /^Usage: main\.ts serve \[FLAGS\]$/m);
  assert.match(commandHelp("generate"), /^Usage: main\.ts generate --prompt TEXT \[FLAGS\]$/m);
  assert.match(commandHelp("inspect"), /^Usage: main\.ts inspect MODEL \[FLAGS\]$/m);
});
