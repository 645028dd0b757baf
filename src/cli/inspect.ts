/** @file `main.ts inspect`: what a model file holds and how much memory it needs. */
import { openModel } from "../formats/open.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { InspectOptions } from "./flags/models.ts";
import { localModel } from "./local_model.ts";
import { formatReport, reportModel } from "./model_report.ts";

/** Prints the report, as text or as JSON. */
export async function inspect(options: InspectOptions): Promise<number> {
  const file = await openModel(await localModel(options.model));
  try {
    const report = await reportModel(file, readModelConfig);
    console.log(options.json ? JSON.stringify(report, null, 2) : formatReport(report));
  } finally {
    file.close();
  }
  return EXIT_CODES.ok.code;
}
