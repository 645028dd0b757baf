/** @file The way of block tables to the GPU: before whatever is recorded next reads them, the host writes what has changed. */
import type { Model } from "../model/model.ts";
import type { Residence } from "./residence.ts";

/** Uploads what has changed of a sequence's block tables. */
export function writeTables({ slots }: Model, { slot, cache }: Residence): void {
  cache.takeChanges((layer, first, table, heads) => slots.writeTable(slot, layer, first, table, heads));
}
