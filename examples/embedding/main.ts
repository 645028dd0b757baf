/**
 * Serves Ebb beside another route of one's own: deno run -A examples/embedding/main.ts
 *
 *     curl localhost:8001/                       Hello
 *     curl localhost:8001/llm/v1/models
 */
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createApp, startEngine } from "../../mod.ts";

const engine = await startEngine();
const app = new Hono();
app.get("/", (c) => c.text("Hello"));
app.route("/llm", createApp(engine));

const port = Number(Deno.env.get("PORT") ?? 8001);
const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }, ({ port }) => {
  console.log(`Listening on http://127.0.0.1:${port}`);
});
Deno.addSignalListener("SIGTERM", async () => {
  server.close();
  await engine.close();
});
