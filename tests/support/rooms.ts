/** @file The rooms of src/, as docs/architecture.md lists them. */

/** The rooms of src/; each imports from itself and from those before it. */
export const ROOMS: readonly string[] = [
  "contract",
  "gpu",
  "formats",
  "cache",
  "scores",
  "kernels",
  "policy",
  "plugins",
  "compression",
  "architecture",
  "model",
  "text",
  "engine",
  "cpu",
  "embedding",
  "hub",
  "conversion",
  "serving",
  "routes",
  "charts",
  "eval",
  "page",
  "cli",
];
