/**
 * @file Drives the playground through each of its features in a real browser, and fails where one is not as it should be.
 *
 *     apt-get install -y chromium
 *     deno run -A tools/page/look.ts                             # the model in Ebb; pictures go to /tmp/ebb-playground
 *     deno run -A tools/page/look.ts --out DIR --model FILE --device gpu --view phone --browser PATH
 *     deno run -A tools/page/look.ts --figures                   # those of docs/playground.md, too
 *
 * Not a test of `deno task test`, because a browser is a package of 300 MB that a machine need not have; tests/page/ has what can
 * be said without one. Pictures are for looking at: light, dark, and as wide as a phone.
 */
import assert from "node:assert/strict";
import axe from "axe-core";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { parseArgs } from "node:util";
import { startServer } from "./server_process.ts";

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: "/tmp/ebb-playground" },
    model: { type: "string" },
    device: { type: "string", default: "auto" },
    view: { type: "string", multiple: true },
    figures: { type: "boolean", default: false },
    browser: { type: "string", default: "/usr/bin/chromium" },
  },
});

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };

/** Milliseconds that anything may take: prompts are read on a CPU here. */
const PATIENCE = 60_000;

interface View {
  readonly name: string;
  readonly viewport: { readonly width: number; readonly height: number; readonly isMobile?: boolean };
  readonly scheme: "light" | "dark";
}

const VIEWS: readonly View[] = [
  { name: "light", viewport: WIDE, scheme: "light" },
  { name: "dark", viewport: WIDE, scheme: "dark" },
  { name: "phone", viewport: PHONE, scheme: "light" },
  { name: "phone-dark", viewport: PHONE, scheme: "dark" },
];

/** A page of its own, which may talk to the server alone, and must not complain. */
async function openPage(browser: Browser, url: string, { viewport, scheme }: View): Promise<Page> {
  const page = await browser.newPage();
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.setDefaultTimeout(PATIENCE);
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(url) && !asked.startsWith("data:")) fail(`The page asks for ${asked}`);
  });
  page.on("pageerror", (error) => fail(`The page throws ${error}`));
  page.on("console", (message) => {
    // Chromium logs each reply that is an error by itself; those are told in sentences.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) fail(message.text());
  });
  await page.goto(url, { waitUntil: "load" });
  return page;
}

const failures: string[] = [];

function fail(message: string): void {
  failures.push(message);
  console.error(`✗ ${message}`);
}

/** Serious and critical findings of axe-core are failures. */
async function examine(page: Page, name: string): Promise<void> {
  // Into the page's world by the debugger: its policy lets no other script in.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(async () =>
    await (globalThis as any).axe.run(document, { resultTypes: ["violations"] })
  );
  for (const { id, impact, help, nodes } of violations) {
    const places = nodes.slice(0, 3).map(({ html }: { html: string }) => html.slice(0, 160)).join("\n    ");
    const line = `${name}: axe-core finds ${id} (${impact}): ${help}\n    ${places}`;
    if (impact === "serious" || impact === "critical") fail(line);
    else console.log(`  ${line}`);
  }
}

/** Pictures of docs/playground.md, by step and view; as high as is shown there. */
const FIGURES: Readonly<Record<string, { readonly file: string; readonly height: number }>> = {
  "needle-light": { file: "playground-needle.png", height: 1400 },
  "compare-dark": { file: "playground-compare.png", height: 1150 },
  "needle-phone": { file: "playground-phone.png", height: 1500 },
};

async function picture(page: Page, name: string): Promise<void> {
  // Away from what would show that it is pointed at.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${options.out}/${name}.png`, fullPage: true });
  const figure = FIGURES[name];
  if (figure === undefined || !options.figures) return;
  const path = figurePath(figure.file);
  const { width } = page.viewport()!;
  await page.screenshot({ path, captureBeyondViewport: true, clip: { x: 0, y: 0, width, height: figure.height } });
}

function figurePath(file: string): `${string}.png` {
  return new URL(`../../docs/figures/${file}`, import.meta.url).pathname as `${string}.png`;
}

/** Waits for a text anywhere in what is shown. */
async function waitForText(page: Page, text: string): Promise<void> {
  await page.waitForFunction((text) => document.body.innerText.includes(text), { polling: 50 }, text);
}

const textOf = (page: Page, selector: string) => page.$eval(selector, (element) => (element as HTMLElement).innerText);

/** Whether anything sticks out of the page's width. */
async function checkWidth(page: Page, name: string): Promise<void> {
  const { content, width } = await page.evaluate(() => ({
    content: document.documentElement.scrollWidth,
    width: document.documentElement.clientWidth,
  }));
  if (content > width) fail(`${name}: the page is ${content} pixels wide, the window ${width}`);
}

async function setField(page: Page, selector: string, value: string): Promise<void> {
  await page.$eval(selector, (element, value) => {
    (element as HTMLInputElement).value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
}

async function choosePolicy(page: Page, panel: string, at: number, policy: string, budget: string): Promise<void> {
  const forms = await page.$$(`${panel} fieldset.choice`);
  await (await forms[at].$("select"))!.select(policy);
  if (policy === "full") return;
  const box = (await forms[at].$("input[type=text]"))!;
  await box.evaluate((element, value) => {
    (element as HTMLInputElement).value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }, budget);
}

const STEPS: readonly { readonly name: string; readonly run: (page: Page, view: View) => Promise<void> }[] = [
  {
    name: "needle",
    async run(page) {
      await page.click("#tab-needle");
      assert.equal(new URL(page.url()).hash, "#needle");
      await choosePolicy(page, "#panel-needle", 0, "dynamickv", "64");
      await setField(page, "#panel-needle input[type=number]", "700");
      // How bars grow, as they are seen.
      await page.evaluate(() => {
        const seen = (globalThis as any).seen = new Set<number>();
        const look = () => {
          seen.add(document.querySelectorAll("#panel-needle .bars button:not(:disabled)").length);
          requestAnimationFrame(look);
        };
        look();
      });
      await page.click("#panel-needle button[type=submit]");
      await page.waitForSelector("#panel-needle .verdict");
      const seen: number[] = await page.evaluate(() => [...(globalThis as any).seen]);
      console.log(`  layers with bars while the prompt was read: ${seen.join(", ")}`);
      assert.match(await textOf(page, "#panel-needle .verdict"), /^(✓ Right|✗ Wrong: expected \d+)/);
      assert.match(await textOf(page, "#panel-needle .cache"), /dynamickv keeps \d+ of \d+ rows per layer/);
      assert.match(await textOf(page, "#panel-needle .cache"), /Of the framed sentence \d+ % is kept/);
      // Another policy, the same document.
      await choosePolicy(page, "#panel-needle", 0, "ebbkv", "64");
      await page.click("#panel-needle button[type=submit]");
      await page.waitForFunction(() => document.querySelectorAll("#panel-needle tbody tr").length === 2);
      assert.match(await textOf(page, "#panel-needle .cache"), /ebbkv keeps \d+ of \d+ rows per layer/);
      await page.focus("#panel-needle .tokens");
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowRight");
      assert.match(await textOf(page, "#panel-needle .told"), /^Token \d+ of \d+, ".*": kept in \d+ of \d+ layers/);
      await page.hover("#panel-needle .tokens .marked");
      assert.match(await textOf(page, "#panel-needle .told"), /^Token \d+/);
      await page.click("#panel-needle .bars button");
      await waitForText(page, "Tokens that layer 0 keeps");
      await page.click("#panel-needle .bars button");
    },
  },
  {
    name: "chat",
    async run(page) {
      await page.click("#tab-chat");
      await choosePolicy(page, "#panel-chat", 0, "snapkv", "24");
      // Models that answer slowly can be looked at too.
      await setField(page, "#panel-chat fieldset:nth-of-type(2) input", "64");
      await page.type("#panel-chat textarea", "Tell me about the fox and the bell.");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#panel-chat .log .assistant .text");
      await page.waitForFunction(() => /written/.test(document.querySelector("#panel-chat .speed")?.textContent ?? ""));
      await waitForText(page, "snapkv keeps");
      await page.type("#panel-chat textarea", "مرحبا");
      const direction = await page.$eval("#panel-chat textarea", (element) => getComputedStyle(element).direction);
      assert.equal(direction, "rtl");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelectorAll("#panel-chat .log article").length === 4);
      await page.waitForFunction(() => /written/.test(document.querySelector("#panel-chat .speed")?.textContent ?? ""));
      assert.equal(
        await page.$eval("#panel-chat .log article.user:nth-of-type(3) .text", (e) => getComputedStyle(e).direction),
        "rtl",
      );
    },
  },
  {
    name: "compare",
    async run(page) {
      await page.click("#tab-compare");
      await choosePolicy(page, "#panel-compare", 0, "full", "");
      await choosePolicy(page, "#panel-compare", 1, "streaming", "16");
      await page.type(
        "#panel-compare textarea",
        "The magic number for the copper lamp is 48213. The fox slept near the barn all day, and the bells rang at noon. " +
          "There was a kettle by the window, and the sky was grey. What is the magic number for the copper lamp?",
      );
      await page.click("#panel-compare button[type=submit]");
      await page.waitForSelector("#panel-compare .verdict");
      assert.match(await textOf(page, "#panel-compare .verdict"), /same|part after \d+ words?|from the first word/);
    },
  },
  {
    name: "combination",
    async run(page) {
      await page.click("#tab-compare");
      const [, second] = await page.$$("#panel-compare fieldset.choice");
      await (await second.$("select"))!.select("");
      const [, scorer, allocator] = await second.$$("select");
      await scorer.select("h2o");
      await allocator.select("adakv");
      await (await second.$("summary"))!.click();
      const names = await second.$$eval(
        "details label",
        (labels) => labels.map((label) => label.firstChild!.textContent),
      );
      // Of the scorer and of the allocator.
      assert.deepEqual(names, ["recentShare", "floor", "Evict while generating"]);
      await setField(page, "#panel-compare .half1 details input", "0.25");
      const posted = page.waitForRequest((request) => /"h2o\+adakv"/.test(request.postData() ?? ""));
      await page.click("#panel-compare button[type=submit]");
      const { kv_cache } = JSON.parse((await posted).postData()!);
      assert.deepEqual(kv_cache.options, { recentShare: 0.25 });
      await page.waitForSelector("#panel-compare .verdict");
      assert.match(await textOf(page, "#panel-compare .half1 .cache"), /h2o\+adakv keeps/);
    },
  },
  {
    name: "errors",
    async run(page) {
      await page.click("#tab-chat");
      await choosePolicy(page, "#panel-chat", 0, "dynamickv", "lots");
      await setField(page, "#panel-chat textarea", "Hello");
      await page.click("#panel-chat button[type=submit]");
      await page.waitForSelector("#panel-chat .error");
      assert.match(await textOf(page, "#panel-chat .error"), /Invalid kv_cache\.budget: .*"lots"\.?$/);
      assert.equal((await page.$$("#panel-chat .log article")).length, 5, "what was said before stays");
      // What was refused can be mended and sent again.
      assert.equal(
        await page.$eval("#panel-chat textarea", (element) => (element as HTMLTextAreaElement).value),
        "Hello",
      );
    },
  },
];

/** How the picture and the tokens grow while a prompt is read: looked at in between, on a thread for it alone to take its time. */
async function checkReading(browser: Browser): Promise<void> {
  const server = await startServer([...modelFlags, ...options.device === "gpu" ? [] : ["--threads", "1"]]);
  try {
    const page = await openPage(browser, server.url, { ...VIEWS[0], viewport: { width: 1280, height: 1300 } });
    await page.waitForSelector("#tab-needle");
    await page.click("#tab-needle");
    await setField(page, "#panel-needle input[type=number]", "1900");
    // The layers that are in the picture, and what is said beside it, as they are seen.
    await page.evaluate(() => {
      const seen = (globalThis as any).seen = new Set<string>();
      const look = () => {
        const isDrawn = document.querySelector("#panel-needle .tokens .heat1, #panel-needle .tokens .heat2") !== null;
        if (isDrawn) seen.add(document.querySelector("#panel-needle .cache .hint")!.textContent!);
        requestAnimationFrame(look);
      };
      look();
    });
    await page.click("#panel-needle button[type=submit]");
    const isHalf = () => /Reading: [4-9]/.test(document.querySelector("#panel-needle .cache")?.textContent ?? "");
    await page.waitForFunction(isHalf, { polling: "raf" });
    const path = options.figures ? figurePath("playground-reading.png") : `${options.out}/reading.png` as const;
    await page.screenshot({ path });
    await page.waitForSelector("#panel-needle .verdict");
    const seen: string[] = await page.evaluate(() => [...(globalThis as any).seen]);
    const whileRead = seen.filter((said) => said.startsWith("Reading"));
    console.log(`  tokens in colours: ${whileRead.join(" ")}`);
    if (whileRead.length === 0) fail("tokens have no colours while the prompt is read");
    await page.close();
  } finally {
    await server.stop();
  }
}

/** What has the focus, in a few words. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    return `${element.id || element.getAttribute("aria-label") || element.innerText || element.tagName}`.slice(0, 60);
  });
}

/** Goes on with the Tab key until something has the focus. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const passed: string[] = [];
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    if (name.test(now)) return;
    passed.push(now);
  }
  assert.fail(`The Tab key does not lead to ${name}, but to ${passed.join(" | ")}`);
}

/** A question is asked, its answer read, a layer chosen and a token looked at, with the keyboard alone. */
async function checkKeyboard(page: Page): Promise<void> {
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await tabTo(page, /^tab-/);
  await page.keyboard.press("End");
  assert.equal(await focused(page), "tab-needle");
  await tabTo(page, /^Hide and ask/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#panel-needle .verdict");
  await page.waitForSelector("#panel-needle .tokens");
  await tabTo(page, /^Layer\s*0/);
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle), "none");
  await page.keyboard.press("Space");
  await waitForText(page, "Tokens that layer 0 keeps");
  await tabTo(page, /^The prompt's tokens/);
  await page.keyboard.press("End");
  assert.match(await textOf(page, "#panel-needle .told"), /^Token \d+ of \d+, /);
  // Nothing holds the focus: it comes to the end of the page.
  await tabTo(page, /^The HTTP API/);
}

/** Of several models, the one that is chosen is asked, and loaded for it. */
async function checkModels(browser: Browser): Promise<void> {
  const file = options.model ?? new URL("../../models/ebb-mini.gguf", import.meta.url).pathname;
  const models = ["first", "second"].flatMap((id) => ["--model", `${id}=${file}`]);
  const server = await startServer([...models, "--max-models", "1", "--device", options.device]);
  try {
    for (const view of [VIEWS[0], VIEWS[2]]) {
      const page = await openPage(browser, server.url, view);
      await page.waitForSelector(".model select");
      const chosen = view === VIEWS[0] ? "second" : "first";
      await page.select(".model select", chosen);
      await waitForText(page, "Not loaded: the first question loads it");
      await page.type("#panel-chat textarea", "Hello");
      await setField(page, "#panel-chat fieldset:nth-of-type(2) input", "16");
      const asked = page.waitForRequest((request) => /"max_tokens"/.test(request.postData() ?? ""));
      await page.keyboard.press("Enter");
      assert.equal(JSON.parse((await asked).postData()!).model, chosen);
      await page.waitForFunction(() => /written/.test(document.querySelector("#panel-chat .speed")?.textContent ?? ""));
      // What is known of it once it is loaded.
      await page.waitForSelector("dl.glance");
      await page.waitForSelector(".model .hint");
      await checkWidth(page, "several models");
      await examine(page, "several models");
      await picture(page, `models-${view.name}`);
      await page.close();
    }
  } finally {
    await server.stop();
  }
}

async function checkTabs(page: Page): Promise<void> {
  await page.focus("#tab-chat");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "tab-compare");
  await page.keyboard.press("End");
  assert.equal(await page.$eval("#panel-needle", (element) => (element as HTMLElement).hidden), false);
  await page.keyboard.press("Home");
}

/** A server that wants a key: asks for it, refuses a wrong one in words, and takes the right one. */
async function checkKey(browser: Browser): Promise<void> {
  const server = await startServer([...modelFlags, "--api-key", "open-sesame"]);
  try {
    const page = await openPage(browser, server.url, VIEWS[0]);
    await page.waitForSelector("form.key");
    await examine(page, "key");
    await page.type("form.key input", "wrong");
    await page.keyboard.press("Enter");
    await waitForText(page, "Wrong API key.");
    await setField(page, "form.key input", "open-sesame");
    await page.click("form.key button");
    await page.waitForSelector("#tab-chat");
    await page.reload();
    await page.waitForSelector("#tab-chat");
    await page.close();
  } finally {
    await server.stop();
  }
}

/** A server that is gone is told of in a sentence. */
async function checkLost(browser: Browser): Promise<void> {
  const server = await startServer(modelFlags);
  const page = await openPage(browser, server.url, VIEWS[0]);
  await page.waitForSelector("#tab-chat");
  await server.stop();
  await page.type("#panel-chat textarea", "Hello");
  await page.keyboard.press("Enter");
  await waitForText(page, "The server cannot be reached. Is it still running?");
  await page.close();
}

const modelFlags = [
  ...options.model === undefined ? [] : ["--model", options.model],
  ...["--device", options.device],
];

async function main(): Promise<void> {
  await Deno.mkdir(options.out, { recursive: true });
  const browser = await puppeteer.launch({ executablePath: options.browser, args: ["--no-sandbox"] });
  try {
    const server = await startServer(modelFlags);
    try {
      for (const view of VIEWS.filter(({ name }) => options.view?.includes(name) ?? true)) {
        console.log(view.name);
        const page = await openPage(browser, server.url, view);
        await page.waitForSelector("#tab-chat");
        await page.waitForSelector(".glance");
        await checkTabs(page);
        await examine(page, `${view.name}, at first`);
        for (const { name, run } of STEPS) {
          try {
            await run(page, view);
          } catch (error) {
            fail(`${view.name}, ${name}: ${error}`);
          }
          await checkWidth(page, `${view.name}, ${name}`);
          await examine(page, `${view.name}, ${name}`);
          await picture(page, `${name}-${view.name}`);
        }
        await page.close();
        const other = await openPage(browser, server.url, view);
        await other.waitForSelector("#tab-chat");
        await checkKeyboard(other);
        await other.close();
      }
    } finally {
      await server.stop();
    }
    await checkReading(browser);
    await checkModels(browser);
    await checkKey(browser);
    await checkLost(browser);
  } finally {
    await browser.close();
  }
  console.log(
    failures.length === 0 ? `Nothing is wrong. Pictures: ${options.out}` : `${failures.length} things are wrong`,
  );
  Deno.exit(failures.length === 0 ? 0 : 1);
}

await main();
