/** @file `GET /`: the playground. One reply with all that it needs, and nothing from elsewhere: see docs/playground.md. */
import type { Context } from "hono";
import { createHash } from "node:crypto";
import { SCRIPT, STYLE } from "./bundle.ts";

const PAGE = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Ebb: playground</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<div id="page"><noscript><main><p>The playground needs JavaScript. The <a href="docs">HTTP API</a> does not.</p></main></noscript></div>
<script>${SCRIPT}</script>
</body>
</html>
`;

/** Runs the page's own script and style, talks to this server, and does nothing else. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src '${sourceHash(SCRIPT)}'`,
  `style-src '${sourceHash(STYLE)}'`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Handles `GET /`. */
export function playgroundHandler(c: Context): Response {
  return c.html(PAGE, 200, {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
}

/** https://www.w3.org/TR/CSP3/#grammardef-hash-source */
function sourceHash(source: string): string {
  return `sha256-${createHash("sha256").update(source).digest("base64")}`;
}
