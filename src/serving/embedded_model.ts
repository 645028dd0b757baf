/** @file The model that comes with Ebb. */
import { fileURLToPath } from "node:url";

/** Path of the model that is served where no other is named; see models/README.md. */
export const EMBEDDED_MODEL = fileURLToPath(new URL("../../models/ebb-mini.gguf", import.meta.url));
