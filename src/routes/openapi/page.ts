/** @file `GET /docs`: the OpenAPI document as a page for people, without scripts, fonts or anything else from elsewhere. */
import type { Context } from "hono";
import { html } from "hono/html";
import { openApiDocument, type Operation } from "./document.ts";
import type { JsonSchema } from "./request_schema.ts";

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  code { font-family: ui-monospace, monospace; font-size: 0.9em }
  table { border-collapse: collapse; width: 100% }
  td, th { border-top: 1px solid #8884; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top }
  summary { cursor: pointer; padding: 0.4rem 0 }
`;

/** Handles `GET /docs`. */
export function docsHandler(c: Context): Response | Promise<Response> {
  const { info, paths } = openApiDocument();
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(method.toUpperCase(), path, operation))
  );
  // Everything that the page needs is in it.
  c.header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
  return c.html(html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>${info.title} ${info.version}: HTTP API</title>
        <style>${STYLE}</style>
      </head>
      <body>
    <h1>${info.title} ${info.version}</h1>
    <p>For programs: <a href="openapi.json">openapi.json</a>.</p>
    ${operations}
      </body>
    </html>
  `);
}

function section(method: string, path: string, { summary, requestBody }: Operation) {
  const heading = html`<code>${method} ${path}</code> ${summary}`;
  if (requestBody === undefined) return html`<p>${heading}</p>`;
  const { schema } = requestBody.content["application/json"];
  // Of several forms, the fields of all.
  const forms = schema.anyOf ?? [schema];
  const properties: Record<string, JsonSchema> = Object.assign({}, ...forms.map(({ properties }) => properties));
  const isRequired = (name: string) => forms.every(({ required = [] }) => required.includes(name));
  const rows = Object.entries(properties).map(([name, schema]) =>
    html`
      <tr>
        <td><code>${name}</code>${isRequired(name) ? " (required)" : ""}</td>
        <td>${typeOf(schema)}</td>
      </tr>
    `
  );
  return html`
    <details>
      <summary>${heading}</summary>
      <table>
    <tr><th>field</th><th>what it takes</th></tr>
    ${rows}
      </table>
    </details>
  `;
}

/** A schema in a few words; that a field may be null goes without saying. */
function typeOf(schema: JsonSchema): string {
  const { type, description, anyOf, enum: values, const: value, minimum, maximum, items } = schema;
  if (description !== undefined) return description;
  if (values !== undefined) return (values as unknown[]).map((value) => JSON.stringify(value)).join(", ");
  if (value !== undefined) return JSON.stringify(value);
  if (anyOf !== undefined) {
    return anyOf.filter(({ type }) => type !== "null").map(typeOf).join(", or ");
  }
  const name = [type ?? "anything"].flat().filter((name) => name !== "null").join(" or ");
  if (type === "array" && items !== undefined) return `array of: ${typeOf(items as JsonSchema)}`;
  const from = minimum === undefined ? "" : ` from ${minimum}`;
  return `${name}${from}${maximum === undefined ? "" : ` to ${maximum}`}`;
}
