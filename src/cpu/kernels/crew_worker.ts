/** @file A thread of a crew: works on job after job. */
import { instantiateCrewModule } from "./crew_exports.ts";

/** What a thread is told. */
export interface CrewStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the control record. */
  readonly control: number;
  /** Address of what is the thread's own. */
  readonly scratch: number;
}

declare const self: {
  onmessage: ((event: MessageEvent<CrewStart>) => void) | null;
  close(): void;
};

self.onmessage = async ({ data: { module, memory, control, scratch } }) => {
  const exports = await instantiateCrewModule(module, memory);
  exports.own(scratch);
  exports.serve(control);
  self.close();
};
